"""A SLURM cluster of two nodes on this machine, started by hand and ended with the test.

SLURM's configuration must lie where its commands look for it: the executor takes variables of SLURM away. So root alone
can start one, and none is started beside a SLURM that this machine has.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CONFIGURATION = Path("/etc/slurm/slurm.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scontrol")
PACKAGES = "sudo apt-get install slurm-wlm munge"
PLUGIN = "snakemake_executor_plugin_slurm"
PLUGIN_PACKAGES = ".venv/bin/pip install snakemake-executor-plugin-slurm==2.8.0"
NODES = ("n1", "n2")
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
SETTINGS = """\
# of a test of this project
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd-%n.log
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=3600
SlurmdTimeout=15
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=9000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=9000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def what_is_missing() -> str:
    """Why no cluster can be started here, and what to do; empty if one can."""
    if absent := [name for name in PROGRAMS if not shutil.which(name, path=PATH)]:
        return f"no {', '.join(absent)}: {PACKAGES}"
    if importlib.util.find_spec(PLUGIN) is None:
        return f"no {PLUGIN}: {PLUGIN_PACKAGES}"
    if os.geteuid() != 0:
        return "SLURM is started by root alone: run this test as root"
    if CONFIGURATION.exists():
        return f"this machine has a SLURM of its own ({CONFIGURATION}), beside which none is started"
    return ""


def wait_until(is_so, seconds: float, what: str):
    """What `is_so` gives once it is true; AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return found


@dataclass
class Cluster:
    """The processes of a cluster; everything of theirs lies below `home`."""

    home: Path
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.home / name).mkdir()
        key = self.home / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
            ports = [one.getsockname()[1] for one in sockets]
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(SETTINGS.format(host=socket.gethostname(), home=self.home, ports=ports))
        names = {"key-file": key, "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log"}
        options = [f"--{name}={self.home / path}" for name, path in (names | {"seed-file": "munge.seed"}).items()]
        self._run("munged", "--foreground", "--force", *options)
        wait_until((self.home / "munge.socket").exists, 20, "munge's socket")
        self._run("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.says("sinfo", "-h", "-o", "%D %t") == "2 idle", 60, "two idle nodes")

    def start_node(self, node: str) -> None:
        self._run("slurmd", "-D", "-N", node, name=node)

    def _run(self, program: str, *arguments: str, name: str = "") -> None:
        with (self.home / f"{name or program}.out").open("w") as said:
            command = [shutil.which(program, path=PATH), *arguments]
            self.daemons[name or program] = subprocess.Popen(
                command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def says(self, *command: str) -> str:
        """What one of SLURM's commands prints."""
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def kill_node(self, node: str) -> None:
        """Let a node fall silent as when its power fails: no process of it is left to say so."""
        daemon = psutil.Process(self.daemons.pop(node).pid)
        own = [process for process in psutil.process_iter() if _is_on(process, node)]
        steps = {
            parent.pid: parent
            for process in own
            for parent in process.parents()
            if parent.name().startswith("slurmstepd")
        }
        for process in (daemon, *steps.values(), *own):
            with contextlib.suppress(psutil.Error):
                process.kill()
        daemon.wait(20)

    def end(self) -> None:
        CONFIGURATION.unlink(missing_ok=True)
        for job in (process for process in psutil.process_iter() if any(_is_on(process, node) for node in NODES)):
            with contextlib.suppress(psutil.Error):
                job.kill()
        for daemon in reversed(self.daemons.values()):
            daemon.send_signal(signal.SIGKILL)
            daemon.wait(20)


def _is_on(process: psutil.Process, node: str) -> bool:
    try:
        return process.environ().get("SLURMD_NODENAME") == node
    except psutil.Error:
        return False


@contextlib.contextmanager
def running_cluster(home: Path) -> Iterator[Cluster]:
    """A cluster with two idle nodes."""
    cluster = Cluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


if __name__ == "__main__":
    sys.exit(what_is_missing())
