"""PostgreSQL and MLflow's server with basic authentication, on loopback, as docs/mlflow-server.md sets them up."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "sudo apt-get install postgresql, and .venv/bin/pip install psycopg2-binary==2.9.13 flask-wtf==1.3.0"
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
USER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL refuses to be root."""
ADMIN, PASSWORD = "admin", "not-the-shipped-one"


def what_is_missing() -> str:
    """Why no server can be started here, and what to do; empty if one can."""
    if not POSTGRESQL:
        return f"no PostgreSQL: {PACKAGES}"
    if absent := [name for name in ("psycopg2", "flask_wtf") if importlib.util.find_spec(name) is None]:
        return f"no {', '.join(absent)}: {PACKAGES}"
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@dataclass
class Database:
    """PostgreSQL with a database of its own, in a directory that its user may enter."""

    home: Path
    port: int

    def start(self) -> None:
        data = self.home / "data"
        if not data.exists():
            data.mkdir()
            if USER:
                shutil.chown(data, USER)
            self._run("initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-l", data / "log", "-o", options, "start")
        with contextlib.suppress(subprocess.CalledProcessError):  # it is there
            self.create("mlflow")

    def create(self, name: str) -> str:
        """Create an empty database; its URI."""
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "mlflow", name)
        return f"postgresql://mlflow@127.0.0.1:{self.port}/{name}"

    def drop(self, name: str) -> None:
        self._run("dropdb", "--force", "-h", "127.0.0.1", "-p", self.port, "-U", "mlflow", name)

    def size(self, name: str) -> int:
        """Bytes of a database."""
        command = [POSTGRESQL[-1] / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mlflow", "-Atc"]
        query = f"SELECT pg_database_size('{name}')"
        return int(subprocess.run([*command, query, name], check=True, capture_output=True, user=USER).stdout)

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", self.home / "data", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(POSTGRESQL[-1] / program), *map(str, arguments)]
        # To a file, not a pipe: what pg_ctl starts would keep that open.
        with (self.home / "said.txt").open("ab") as said:
            subprocess.run(command, check=True, user=USER, stdout=said, stderr=said, cwd="/")


@dataclass
class Server:
    """`mlflow server` with basic authentication and artefacts by its proxy."""

    home: Path
    backend: str
    port: int
    process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.home.mkdir(exist_ok=True)
        settings = self.home / "auth.ini"
        settings.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = sqlite:///{self.home}/auth.db\nadmin_username = {ADMIN}\nadmin_password = {PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))},
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            self.backend,
            "--app-name",
            "basic-auth",
        ]
        command += ["--artifacts-destination", str(self.home / "artefacts"), "--host", "127.0.0.1"]
        with (self.home / "said.txt").open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--workers", "1"],
                **{"env": environment, "cwd": self.home, "stdout": said, "stderr": said, "start_new_session": True},
            )
        end = time.monotonic() + 300
        while not self._is_up():
            assert self.process.poll() is None and time.monotonic() < end, (self.home / "said.txt").read_text()[-3000:]
            time.sleep(0.3)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return answer.status == 200
        return False

    def kill(self) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running() -> Iterator[tuple[Database, Server]]:
    """A database, and a server on it."""
    home = Path(tempfile.mkdtemp(prefix="sleepbench-mlflow-"))
    home.chmod(0o755)  # for PostgreSQL's user
    database = Database(home, free_port())
    server = Server(home / "server", f"postgresql://mlflow@127.0.0.1:{database.port}/mlflow", free_port())
    try:
        database.start()
        server.start()
        yield database, server
    finally:
        server.kill()
        database.stop()
        shutil.rmtree(home, ignore_errors=True)
