"""A broker with many logs serves again at once: tests/bench/restart in small, with its bounds (1 s after a clean stop,
5 s after kill -9, 300 MiB), which the whole of it asserts with 2,000 partitions and 10 GB beside Kafka."""
import subprocess
import sys

import pytest

from tests.kit.cluster import ROOT

pytestmark = pytest.mark.moldau_only


def test_a_restart_is_quick():
    done = subprocess.run([sys.executable, ROOT / "tests" / "bench" / "restart", "--quick", "--assert"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 partitions" in done.stdout and "1000 empty partitions" in done.stdout, done.stdout
