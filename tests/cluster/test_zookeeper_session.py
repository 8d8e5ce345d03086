"""The session, the controller's seat and its reads and writes against real ZooKeeper servers: a program of its own."""
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/plain/cluster/zk_session"
SKIPPED = 77


@pytest.mark.moldau_only
def test_the_session_against_real_servers():
    subprocess.run(["make", "-s", str(PROGRAM.relative_to(ROOT))], cwd=ROOT, check=True, timeout=900)
    run = subprocess.run([str(PROGRAM)], cwd=ROOT, capture_output=True, text=True, timeout=300,
                         stdin=subprocess.DEVNULL)
    if run.returncode == SKIPPED:
        pytest.skip(run.stdout.strip())
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
