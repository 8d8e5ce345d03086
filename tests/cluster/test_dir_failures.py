"""A log directory whose disk fails: its partitions are served by others at once, the broker goes on with
the rest of it, and nothing is made anew elsewhere behind its back. The real broker meets a real EIO (bad_disk.c).
"""
import os
import shutil
import time
import urllib.request

import pytest

from tests.cluster.test_failures import assert_nothing_lost
from tests.kit import batch, ops, raw
from tests.kit.bad_disk import OPEN, READ, RENAME, SYNC, WRITE, disk, healed   # noqa: F401 - fixtures
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
DIRS = ("d0", "d1")
STORAGE_ERROR = 56


@pytest.fixture(scope="module")
def cluster(new_cluster, disk):
    made = new_cluster("disks", env=disk.env(), settings={"log.dirs": ",".join(DIRS)})
    yield made
    made.close()


def lies_in(cluster, broker, topic):
    """{partition: name of the directory}"""
    return {int(p.name.rpartition("-")[2]): p.parent.name
            for p in cluster.data(broker).parent.glob(f"*/{topic}-*") if p.name.rpartition("-")[0] == topic}


def describe(cluster, broker):
    with raw.Connection(cluster.host, cluster.port(broker)) as c:
        return {os.path.basename(path): found for path, found in c.describe_log_dirs().items()}


def gauges(cluster, broker, prefix):
    url = f"http://127.0.0.1:{cluster.ports.base + 100 + int(broker)}/metrics"
    lines = urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
    return {name[len(prefix):]: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)
            if name.startswith(prefix)}


def restart(cluster, broker):
    cluster.stop(broker)
    cluster.start(broker)
    cluster.wait_serving()


def test_partitions_move_at_once_and_the_rest_goes_on(whole, topic, disk):
    name, local = topic(partitions=12), topic(partitions=12, replication=1)
    victim = "2"
    where = lies_in(whole, victim, name)
    lost = {p for p, d in where.items() if d == "d1"}
    bad = whole.data(victim).parent / "d1"
    assert 3 <= len(lost) <= 9
    load = RawLoad(whole.addresses, name, range(12), rate=600).start()
    wait_until(lambda: all(load.acked.values()), 30, "load is running")
    led = {p for p, part in ops.partitions_of(whole, name).items() if part.leader == int(victim)}

    at = time.monotonic()
    disk.fail(bad, WRITE | SYNC | OPEN | RENAME)
    load.wait_acked_past(at, 30)
    gap = max(load.first_ack_of_write_after(p, at) for p in range(12))
    assert gap < 2.0 + load.slack(at, at + gap), f"writing went on only after {gap:.2f} s"

    def moved():
        parts = ops.partitions_of(whole, name)
        return all(parts[p].leader != int(victim) and int(victim) not in parts[p].isr and
                   parts[p].offline == [int(victim)] for p in lost)
    wait_until(moved, 30, "all replicas in the failed directory are out")
    parts = ops.partitions_of(whole, name)
    assert all(int(victim) in parts[p].isr for p in set(where) - lost), "the other directory is as it was"
    assert all(parts[p].leader == int(victim) for p in led - lost)
    found = describe(whole, victim)
    assert (found["d0"].error, found["d1"].error, found["d1"].replicas) == (0, STORAGE_ERROR, [])
    assert gauges(whole, victim, "kafka_log_logmanager_") == {
        f'logdirectoryoffline{{logDirectory="{whole.data(victim).parent / d}"}}': float(d == "d1") for d in DIRS
    } | {"offlinelogdirectorycount": 1}
    mine = lies_in(whole, victim, local)
    gone = {p for p, d in mine.items() if d == "d1"}
    wait_until(lambda: all(ops.partitions_of(whole, local)[p].leader == -1 for p in gone), 30, "nobody else has these")
    known = ops.partitions_of(whole, local)
    assert all(known[p].leader == int(victim) for p in set(mine) - gone)
    with raw.Connection(whole.host, whole.port(victim)) as c:
        for p in gone | lost:
            of = local if p in gone else name
            assert c.produce(of, {p: batch.build([b"x"])})[p].error == STORAGE_ERROR
            assert c.fetch(of, {p: 0})[p].error == STORAGE_ERROR
            assert c.list_offsets(of, {p: raw.LATEST})[p][0] == STORAGE_ERROR
            assert c.delete_records(of, {p: 0})[p] == (STORAGE_ERROR, -1)
    new = topic(partitions=4)
    assert set(lies_in(whole, victim, new).values()) == {"d0"}
    assert whole.is_up(victim)

    restart(whole, victim)          # with the disk still bad: what was there is not made anew elsewhere
    wait_until(lambda: describe(whole, victim)["d1"].error == STORAGE_ERROR, 30, "still offline")
    wait_until(moved, 30, "still out after a restart")
    assert lies_in(whole, victim, name) == where

    disk.heal()
    restart(whole, victim)
    ops.wait_full_isr(whole)
    load.stop()
    assert describe(whole, victim)["d1"].error == 0
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_an_empty_directory_in_the_place_of_another_is_not_taken_for_whole(whole, topic):
    """Replaced, or not mounted. The other directory knows that the machine has been up all the time; the records are
    gone all the same."""
    name = topic(partitions=12)
    load = RawLoad(whole.addresses, name, range(12), rate=600).start()
    wait_until(lambda: all(load.acked.values()), 30, "load is running")
    load.stop()
    for node in ("c1", "c2", *whole.brokers):   # the controllers first: nobody leaves an ISR
        whole.kill(node)
    gone = whole.data("2").parent / "d1"
    assert list(gone.glob(f"{name}-*"))
    shutil.rmtree(gone)
    for node in ("c1", "c2", "2"):
        whole.start(node)
    wait_until(lambda: all(2 not in (p.leader, *p.isr) for p in ops.partitions_of(whole, name).values()), 60,
               "out of every ISR")
    whole.start("1")
    whole.start("3")
    ops.wait_full_isr(whole)
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_a_failed_sync_is_final(whole, topic, disk):
    """The kernel has dropped the pages and would report the next sync as good."""
    name = topic(partitions=12, replication=1, configs={"flush.messages": 1})
    p = next(i for i, d in lies_in(whole, "1", name).items() if d == "d1")
    with raw.Connection(whole.host, whole.port("1")) as c:
        assert c.produce(name, {p: batch.build([b"good"])})[p].error == 0
        disk.fail(whole.data("1").parent / "d1", SYNC)
        assert c.produce(name, {p: batch.build([b"bad"])})[p].error == STORAGE_ERROR
        disk.heal()
        assert c.produce(name, {p: batch.build([b"later"])})[p].error == STORAGE_ERROR
    assert describe(whole, "1")["d1"].error == STORAGE_ERROR
    restart(whole, "1")
    assert ops.read_partition(whole, name, p)[0].value == b"good"


def test_a_failed_read_takes_the_directory_offline(whole, topic, disk):
    name = topic(partitions=4)
    where = lies_in(whole, "3", name)
    p = next(i for i, d in where.items() if d == "d1")
    for i in range(40):         # more than is known by heart of the log's end
        ops.ask_leader(whole, name, p, lambda c: c.produce(name, {p: batch.build([b"x"])}))
    ops.wait_full_isr(whole)
    disk.fail(whole.data("3").parent / "d1", READ)
    with raw.Connection(whole.host, whole.port("3")) as c:
        assert c.fetch(name, {p: 3})[p].error == STORAGE_ERROR
    disk.heal()
    wait_until(lambda: 3 not in ops.partitions_of(whole, name)[p].isr, 30, "out of the ISR")
    restart(whole, "3")


def test_a_directory_that_is_bad_at_the_start_is_left_out(whole, topic, disk):
    name = topic(partitions=6)
    where = lies_in(whole, "1", name)
    bad = whole.data("1").parent / "d0"           # the first one, where our own small files are
    whole.stop("1")
    bad.rename(bad.with_name("aside"))
    bad.write_text("not a directory")
    try:
        whole.start("1")
        whole.wait_serving()
        found = describe(whole, "1")
        assert (found["d0"].error, found["d1"].error) == (STORAGE_ERROR, 0)

        def out():
            parts = ops.partitions_of(whole, name)
            return all((1 in parts[p].isr) == (d == "d1") for p, d in where.items())
        wait_until(out, 30, "only the replicas of the good directory are in sync")
        assert {p for p, d in lies_in(whole, "1", name).items() if d == "d1"} == \
            {p for p, d in where.items() if d == "d1"}
    finally:
        whole.stop("1")
        bad.unlink()
        bad.with_name("aside").rename(bad)
    whole.start("1")
    ops.wait_full_isr(whole)


def test_a_broker_without_any_directory_ends(whole, topic, disk):
    name = topic(partitions=6)
    load = RawLoad(whole.addresses, name, range(6), rate=300).start()
    wait_until(lambda: all(load.acked.values()), 30, "load is running")
    whole.ended.add("3")
    disk.fail(whole.data("3").parent, WRITE)
    whole.wait_gone("3", 30)
    assert "all log directories are offline" in whole.log("3")
    disk.heal()
    whole.start("3")
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
