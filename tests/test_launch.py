import subprocess
import sys

from sleepbench.launch import lock_is_stale


def test_lock_is_stale_unless_a_living_process_runs_snakemake_there(tmp_path):
    assert not lock_is_stale(tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    assert not lock_is_stale(tmp_path)
    (locks / "0.output.lock").write_text("results/x")
    assert lock_is_stale(tmp_path)
    script = tmp_path / "snakemake"  # a process that goes by the name, in that directory
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "snakemake"], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert not lock_is_stale(tmp_path)
        assert not lock_is_stale(tmp_path / ".snakemake")
    finally:
        process.kill()
        process.wait()
    assert lock_is_stale(tmp_path)
