"""A log directory without room: writes to it are refused for now, the broker and its other directories go on,
and everything recovers by itself once there is room. The directory is a small tmpfs: needs root."""
import contextlib
import os
import subprocess
import time

import pytest

from tests.cluster.test_failures import assert_nothing_lost
from tests.kit import batch, ops, raw
from tests.kit.cluster import Timeout, make_cluster, wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
DIRS = ("d0", "d1")
STORAGE_ERROR = 56


def mount(*args):
    return subprocess.run(["mount", *args], capture_output=True, text=True)


class SmallDisk:
    def __init__(self, path, mib):
        self.path = path
        path.mkdir(parents=True)
        done = mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(path))
        if done.returncode != 0:
            pytest.skip(f"NOT TESTED, a full disk needs a mount of its own: {done.stderr.strip()}")

    def resize(self, mib):
        assert mount("-o", f"remount,size={mib}m", str(self.path)).returncode == 0

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self, leave=0):
        """By somebody else's file, down to the last byte but so many: what the broker takes meanwhile is taken."""
        with open(self.path / "somebody-elses", "wb", buffering=0) as f, contextlib.suppress(OSError):
            while (room := self.free() - leave) > 0:
                f.write(bytes(room))

    def close(self):
        subprocess.run(["umount", "-l", str(self.path)], check=False)


@pytest.fixture
def small():
    """(cluster, the disk of broker 1's second directory)"""
    cluster = make_cluster("moldau", "full")
    disk = None
    try:
        disk = SmallDisk(cluster.dir / "run" / "1" / "d1", 8)
        cluster.up(settings={"log.dirs": ",".join(DIRS), "log.segment.bytes": 1200000,
                             "replica.lag.time.max.ms": 3000, "log.flush.offset.checkpoint.interval.ms": 500,
                             "replica.high.watermark.checkpoint.interval.ms": 500})
        yield cluster, disk
        assert not cluster.crashed(), cluster.log_tails()
    finally:
        cluster.down()
        if disk:
            disk.close()
        cluster.close()


def lies_in(cluster, topic):
    return {int(p.name.rpartition("-")[2]): p.parent.name
            for p in cluster.data("1").parent.glob(f"*/{topic}-*")}


def described(cluster):
    with raw.Connection(cluster.host, cluster.port("1")) as c:
        return {os.path.basename(path): d for path, d in c.describe_log_dirs().items()}


def test_a_full_disk_under_load(small):
    cluster, disk = small
    name = "full"
    ops.create_topic(cluster, name, 12, 3)
    ops.create_topic(cluster, "alone", 8, assignments=[[1]] * 8)
    where = lies_in(cluster, name)
    alone = next(p for p, d in lies_in(cluster, "alone").items() if d == "d1")
    assert ops.ask_leader(cluster, "alone", alone,
                          lambda c: c.produce("alone", {alone: batch.build([b"x"])})[alone].error) == 0
    tight = {p for p, d in where.items() if d == "d1"}
    led = {p for p, part in ops.partitions_of(cluster, name).items() if part.leader == 1 and p in tight}
    assert tight and led and tight - led and set(where) - tight
    load = RawLoad(cluster.addresses, name, range(12), rate=300, size=4000, idempotent=True).start()
    try:
        wait_until(lambda: load.errors["KAFKA_STORAGE_ERROR"] > 0, 60, "writes are refused", every=0.2)
        full_at = time.monotonic()
        load.wait_acked_past(full_at, 60, sorted(set(range(12)) - led))     # followers are given up, others go on
        load.wait_acked_past(full_at, 60)                                   # and who leads and is full is relieved
        wait_until(lambda: all(1 not in (part.leader, *part.isr) for p, part in ops.partitions_of(cluster, name).items()
                               if p in tight), 30, "replicas without room are out of the ISR")
        said = described(cluster)
        assert (said["d0"].error, said["d1"].error) == (0, 0)
        assert cluster.is_up("1")
        with raw.Connection(cluster.host, cluster.port("1")) as c:          # where nobody else can, it leads for reading
            assert c.produce("alone", {alone: batch.build([bytes(900_000)])})[alone].error == STORAGE_ERROR
            got = c.fetch("alone", {alone: 0}, max_wait_ms=0)[alone]
            assert got.error == 0 and got.data, "reading goes on"
        assert ops.partitions_of(cluster, "alone")[alone].leader == 1
        ops.create_topic(cluster, "new", 4, assignments=[[1]] * 4)          # and new logs find room
        assert set(lies_in(cluster, "new").values()) <= set(DIRS)
        assert {p: ops.ask_leader(cluster, "new", p, lambda c, p=p: c.produce("new", {p: batch.build([b"x"])})[p].error)
                for p, d in lies_in(cluster, "new").items() if d == "d0"}.keys()

        disk.resize(400)
        load.wait_acked_past(time.monotonic(), 60)
        ops.wait_full_isr(cluster)
    finally:
        load.stopping.set()
    load.stop()
    assert_nothing_lost(cluster, load)
    ops.assert_replicas_identical(cluster, name)


def test_checkpoints_and_a_restart_find_no_room(small):
    """Not a byte is left: checkpoints, epochs and snapshots cannot be written, and still the directory is served."""
    cluster, disk = small
    ops.create_topic(cluster, "tight", 8, assignments=[[1]] * 8, configs={"flush.messages": 1})
    where = lies_in(cluster, "tight")
    p = next(i for i, d in where.items() if d == "d1")

    def produce(value):
        return ops.ask_leader(cluster, "tight", p, lambda c: c.produce("tight", {p: batch.build([value])})[p].error)
    written = []

    def checkpoint_fails():
        """There is one to be written unless that happened between the last record and the end of the room."""
        for _ in range(5):
            written.append(b"%d" % len(written))
            assert produce(written[-1]) == 0
        log = cluster.log("1")
        disk.fill()
        assert produce(bytes(100_000)) == STORAGE_ERROR
        try:
            return wait_until(lambda: "checkpoint failed" in cluster.log("1")[len(log):], 15, "a checkpoint")
        except Timeout:
            (disk.path / "somebody-elses").unlink()
            wait_until(lambda: produce(b"") == 0 and written.append(b"") is None, 30, "room again")
            return False
    wait_until(checkpoint_fails, 60, "a checkpoint met the full disk")
    assert described(cluster)["d1"].error == 0
    assert [r.value for r in ops.read_partition(cluster, "tight", p)] == written
    (disk.path / "somebody-elses").unlink()
    wait_until(lambda: produce(b"again") == 0, 30, "room again, writes again")

    disk.fill()
    cluster.kill("1")
    cluster.start("1")
    cluster.wait_serving()
    (disk.path / "somebody-elses").unlink(missing_ok=True)
    if described(cluster)["d1"].error:          # a recovery may need room; then the next start has it
        cluster.stop("1")
        cluster.start("1")
    ops.wait_leaders(cluster, "tight", 8)
    values = [r.value for r in ops.read_partition(cluster, "tight", p)]
    before, after = values[:len(written)], values[len(written):]
    assert before == written and after and set(after) == {b"again"}


def test_what_found_no_room_is_made_when_there_is_some(small):
    """Broker 1 has one directory, which is full and has room again: others lead meanwhile, nobody restarts it."""
    cluster, disk = small
    cluster.stop("1")
    conf = cluster.data("1").parent / "server.properties"
    conf.write_text("".join(line for line in conf.read_text().splitlines(True) if not line.startswith("log.dirs"))
                    + "log.dirs=d1\n")
    cluster.start("1")
    cluster.wait_serving()
    disk.fill()
    ops.create_topic(cluster, "late", 3, assignments=[[1, 2], [2, 1], [1, 3]])
    wait_until(lambda: all(p.leader in (2, 3) for p in ops.partitions_of(cluster, "late").values()), 30, "others lead")
    for p in range(3):
        assert ops.ask_leader(cluster, "late", p,
                              lambda c, p=p: c.produce("late", {p: batch.build([b"x"])})[p].error) == 0
    assert described(cluster)["d1"].error == 0
    pid = cluster.pid("1")
    (disk.path / "somebody-elses").unlink()
    wait_until(lambda: all(1 in p.isr for p in ops.partitions_of(cluster, "late").values()), 60,
               "broker 1 has found room and is in sync")
    assert cluster.pid("1") == pid and len(list(disk.path.glob("late-*"))) == 3
