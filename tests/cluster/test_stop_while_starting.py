"""SIGTERM to a broker that has not started yet ends it soon, as a clean stop would: while it recovers its logs, while
it waits for a ZooKeeper that is not there, and while an earlier registration stands in its way. What was not clean is
not marked clean."""
import os
import subprocess
from pathlib import Path

import pytest

from tests.kit import ops
from tests.kit.bad_disk import OPEN, disk, healed   # noqa: F401 - fixtures
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
PARTITIONS = 60
CLEAN = ".kafka_cleanshutdown"


@pytest.fixture(scope="module")
def cluster(new_cluster, disk):
    made = new_cluster("stopping", env=disk.env(), brokers=2, settings={"log.dirs": "d0,d1"})
    yield made
    made.close()


class Process:
    def __init__(self, argv, cwd, env, log):
        self.path = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(argv, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)

    def log(self):
        return self.path.read_text()

    def end(self, timeout):
        """Its exit status, after SIGTERM."""
        try:
            self.process.terminate()
            return self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()


def stopped_cleanly(process, timeout):
    status = process.end(timeout)
    assert status == 0 and "stopping on signal=15" in process.log(), process.log()
    assert process.log().rstrip().endswith("stopped"), process.log()


def command_of(pid):
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    return [os.readlink(f"/proc/{pid}/exe"), *argv[1:]], os.readlink(f"/proc/{pid}/cwd")


def test_a_stop_ends_a_recovery(cluster, disk, tmp_path):
    topic = ops.create_topic(cluster, "recovered", PARTITIONS, 2) or "recovered"
    load = RawLoad(cluster.addresses, topic, list(range(PARTITIONS)), rate=2000).start()
    wait_until(lambda: all(load.acked[p] for p in range(PARTITIONS)), 60, "records everywhere")
    load.stop()
    argv, cwd = command_of(cluster.pid("1"))
    place = cluster.data("1").parent
    cluster.kill("1")
    disk.slow(place, OPEN, 150)             # some 20 s for all logs of a directory
    process = Process(argv, cwd, disk.env(), tmp_path / "log")
    wait_until(lambda: process.log().count("loading logs dir=") == 2, 30, "it recovers")
    stopped_cleanly(process, 15)
    assert "a stop is asked for" in process.log() and "logs loaded count" not in process.log(), process.log()
    assert not list(place.rglob(CLEAN))
    disk.heal()
    cluster.start("1")
    cluster.wait_serving()
    assert cluster.log("1").count("clean_stop=no") >= 2


def test_a_stop_ends_the_wait_for_an_earlier_registration(cluster, tmp_path):
    argv, cwd = command_of(cluster.pid("1"))
    cluster.kill("1")
    # It is not on record any more, so it cannot be ended and expires in its own time.
    (cluster.data("1") / "moldau.session").unlink()
    process = Process(argv, cwd, {}, tmp_path / "log")
    wait_until(lambda: "cannot register in ZooKeeper" in process.log(), 30, "the registration stands in its way")
    stopped_cleanly(process, 15)
    assert "not relieved" not in process.log() and "without having handed over" not in process.log(), process.log()
    cluster.start("1")
    cluster.wait_serving()


def test_a_stop_ends_the_wait_for_zookeeper(cluster, tmp_path):
    (program, *_), _ = command_of(cluster.pid("2"))
    conf = tmp_path / "server.properties"
    conf.write_text(f"broker.id=7\nlisteners=PLAINTEXT://127.0.0.1:{cluster.ports.base + 40}\n"
                    f"log.dirs={tmp_path}/data\nzookeeper.connect=127.0.0.1:1\n"
                    "zookeeper.connection.timeout.ms=600000\n")
    process = Process([program, conf], tmp_path, {}, tmp_path / "log")
    wait_until(lambda: "logs loaded count" in process.log(), 30, "it has come to ZooKeeper")
    stopped_cleanly(process, 30)
    assert "ZooKeeper is not waited for" in process.log(), process.log()
