"""A slow disk holds up who uses it and nobody else: appends to a slow directory, reading what is not in memory,
and compressing much anew are done beside the reactor, in every client's order."""
import errno
import os
import threading
import time
import urllib.request

import pytest

from tests.cluster.test_failures import assert_nothing_lost
from tests.kit import batch, ops, raw
from tests.kit.bad_disk import PROBE, WRITE, disk, healed   # noqa: F401 - fixtures
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
DIRS = ("d0", "d1")


@pytest.fixture(scope="module")
def cluster(new_cluster, disk):
    """One broker with one reactor: whoever waits on it, all wait."""
    made = new_cluster("slow", env=disk.env(), brokers=1,
                       settings={"log.dirs": ",".join(DIRS), "num.network.threads": 1})
    yield made
    made.close()


def counted(cluster, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{cluster.ports.base + 101}/metrics", timeout=10).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def in_dir(cluster, topic, name):
    return [int(p.name.rpartition("-")[2]) for p in cluster.data("1").parent.glob(f"{name}/{topic}-*")]


def usual_wait(cluster, topic, partition, seconds):
    """Nine in ten of many produces to one partition, each with a question for versions, took no longer. (The rest may
    have waited for the disk that both directories are on.)"""
    waits, end = [], time.monotonic() + seconds
    with raw.Connection(cluster.host, cluster.port("1")) as c:
        while time.monotonic() < end:
            began = time.monotonic()
            assert c.produce(topic, {partition: batch.build([b"x"])})[partition].error == 0
            c.api_versions()
            waits.append(time.monotonic() - began)
    return sorted(waits)[len(waits) * 9 // 10]


def test_a_slow_directory_holds_up_nobody_else(whole, topic, disk):
    name = topic(partitions=8, replication=1)
    slow, fast = in_dir(whole, name, "d1"), in_dir(whole, name, "d0")
    load = RawLoad(whole.addresses, name, slow, rate=200, idempotent=True).start()
    wait_until(lambda: all(load.acked[p] for p in slow), 30, "load is running")
    disk.slow(whole.data("1").parent / "d1", WRITE, 250)
    wait_until(lambda: counted(whole, "moldau_produces_aside_total") > 0, 30, "the directory counts as slow")
    at = time.monotonic()
    wait = usual_wait(whole, name, fast[0], 3)      # on the reactor each would meet a write of 250 ms
    assert wait < 0.1 + load.slack(at, at + 3), f"waited {wait:.3f} s for another directory's disk"
    load.wait_acked_past(at, 60)
    disk.heal()
    load.wait_acked_past(time.monotonic(), 60)
    load.stop()
    assert_nothing_lost(whole, load)
    wait_until(lambda: not grows(whole, name, slow[0]), 30, "appends are made at once again")


def grows(cluster, topic, partition):
    before = counted(cluster, "moldau_produces_aside_total")
    ops.ask_leader(cluster, topic, partition, lambda c: c.produce(topic, {partition: batch.build([b"x"])}))
    return counted(cluster, "moldau_produces_aside_total") > before


def test_compressing_much_anew_keeps_a_clients_order(whole, topic):
    name = topic(partitions=1, replication=1, configs={"compression.type": "gzip"})
    before = counted(whole, "moldau_produces_aside_total")
    large, small = os.urandom(300_000), b"small"
    with raw.Connection(whole.host, whole.port("1")) as c:
        pid, epoch = c.init_producer_id()
        values = [large if i % 3 == 0 else small for i in range(30)]
        for i, value in enumerate(values):         # all at once: only order keeps the sequences right
            data = batch.build([value], producer_id=pid, producer_epoch=epoch, sequence=i)
            c.send(raw.PRODUCE, 9, raw.produce_body(name, {0: data}))
        for i in range(30):
            out, _ = raw.produce_answer(raw.open_answer(raw.PRODUCE, 9, c.receive()))
            assert (out[0].error, out[0].base_offset) == (0, i)
        assert [r.value for r in ops.read_partition(whole, name, 0)] == values
    assert counted(whole, "moldau_produces_aside_total") - before >= 10    # or all, when the disk counts as slow


def test_what_is_not_in_memory_is_read_beside_the_reactor(whole, topic, disk):
    """More than the 64 MiB that are taken for recent; the probes are told that it is cold."""
    name = topic(partitions=1, replication=1)
    where = next(d for d in DIRS if in_dir(whole, name, d))
    value = os.urandom(1 << 19)
    with raw.Connection(whole.host, whole.port("1")) as c:
        for i in range(140):
            assert c.produce(name, {0: batch.build([b"%d" % i + value])})[0].error == 0
        before = counted(whole, "moldau_fetches_cold_total")
        assert c.fetch(name, {0: 139})[0].error == 0
        assert c.fetch(name, {0: 0})[0].error == 0
        assert counted(whole, "moldau_fetches_cold_total") == before
        disk.fail(whole.data("1").parent / where, PROBE, errno.EAGAIN)
        for offset in (139, 100):
            assert c.fetch(name, {0: offset})[0].error == 0
        assert counted(whole, "moldau_fetches_cold_total") == before, "recent ones are not probed"
        threads = [threading.Thread(target=read_some, args=(whole, name, offset, value)) for offset in range(0, 8, 2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert counted(whole, "moldau_fetches_cold_total") >= before + 4


def read_some(cluster, name, offset, value):
    with raw.Connection(cluster.host, cluster.port("1")) as c:
        got = c.fetch(name, {0: offset}, partition_bytes=3 << 20)[0]
        found = list(batch.parse(got.data))
        assert len(found) >= 5
        assert [r.value for b in found for r in b.records()] == [b"%d" % (offset + i) + value for i in range(len(found))]
