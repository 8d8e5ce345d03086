"""Consumers read from the replica in their rack (KIP-392): where the leader sends them, when it does not, and that real
clients go there, stay there and come back when that replica is gone."""
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from tests.interop import programs
from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until

RACKS = {"1": "a", "2": "b", "3": "c", "4": "c"}


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("racks", brokers=4, settings={
        "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        "replica.lag.time.max.ms": 3000, **{f"{b}:broker.rack": rack for b, rack in RACKS.items()}})
    yield made
    made.close()


def fill(cluster, name, count, size=1000):
    def ask(c):
        for _ in range(count):
            assert c.produce(name, {0: batch.build([b"x" * size])})[0].error == 0
    ops.ask_leader(cluster, name, 0, ask)


def sent_to(cluster, name, rack, offset=0, broker=None):
    """(preferred replica, bytes of records) that a consumer in that rack is told."""
    broker = broker or str(ops.partitions_of(cluster, name)[0].leader)
    with raw.Connection(*cluster.address(broker)) as c:
        f = raw.fetch_answer_v11(c.ask(raw.FETCH, 11, raw.fetch_body_v11(name, {0: offset}, max_wait_ms=0, rack=rack)))[0]
        assert f.error == 0
        return f.preferred_replica, len(f.data)


def wait_for_followers(cluster, name):
    """The leader knows that each follower has all: only then does it send readers there."""
    end = ops.end_offset(cluster, name, 0)
    wait_until(lambda: sent_to(cluster, name, "b", end)[0] == 2, 10, "broker 2 has all")


def test_the_leader_sends_readers_to_their_rack(whole, topic):
    name = topic(assignments=[[1, 2, 3, 4]])
    fill(whole, name, 10)
    wait_for_followers(whole, name)
    assert sent_to(whole, name, "b") == (2, 0)
    assert sent_to(whole, name, "b", broker="2")[0] == -1, "a follower sends nobody elsewhere"
    wait_until(lambda: sent_to(whole, name, "b", broker="2")[1] > 10000, 10, "its high watermark follows")
    assert wait_until(lambda: sent_to(whole, name, "c")[0] in (3, 4), 10, "a replica of rack c")
    for rack in ("a", "", "nowhere"):
        replica, size = sent_to(whole, name, rack)
        assert replica == -1 and size > 10000, rack


def test_nobody_is_sent_to_a_replica_that_is_not_in_sync_or_does_not_have_it(whole, topic):
    name = topic(assignments=[[1, 2, 3]])
    fill(whole, name, 10)
    wait_for_followers(whole, name)
    whole.pause("2")
    try:
        with raw.Connection(*whole.address("1")) as c:
            wait_until(lambda: 2 not in c.metadata([name]).topics[name][0].isr, 30, "2 is out of the ISR")
        replica, size = sent_to(whole, name, "b", broker="1")
        assert replica == -1 and size > 10000
    finally:
        whole.resume("2")
    ops.wait_full_isr(whole)
    fill(whole, name, 1)
    wait_for_followers(whole, name)
    assert sent_to(whole, name, "b") == (2, 0)


# --- real clients ----------------------------------------------------------------------------------

def bytes_out(cluster, broker):
    port = cluster.ports.base + 100 + int(broker)
    with urllib.request.urlopen(f"http://{cluster.host}:{port}/metrics", timeout=5) as page:
        text = page.read().decode()
    return int(float(re.search(r"^kafka_server_brokertopicmetrics_bytesout_total (\S+)", text, re.M).group(1)))


class Reader:
    """A consumer as a process of its own; what it has read is in a file."""

    def __init__(self, argv):
        self.out = Path(tempfile.mkstemp(prefix="moldau-rack-")[1])
        with self.out.open("w") as out:
            self.process = subprocess.Popen([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=out)

    def wait_read(self, count, timeout=60):
        wait_until(lambda: [int(n) for n in self.out.read_text().split()] == list(range(count)), timeout,
                   f"{count} records")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.out.unlink()


def clients():
    yield "librdkafka", lambda: [sys.executable, Path(__file__).with_name("rack.py")]
    yield "java", lambda: programs.java("3.9.2", "Rack")


@pytest.mark.moldau_only
@pytest.mark.parametrize("argv", [pytest.param(argv, id=name) for name, argv in clients()])
def test_real_consumers_read_in_their_rack_and_elsewhere_when_it_is_gone(whole, topic, argv):
    name = topic(assignments=[[1, 2, 3]])
    fill(whole, name, 100, size=10_000)
    wait_for_followers(whole, name)
    before = {b: bytes_out(whole, b) for b in "123"}
    reader = Reader([*argv(), whole.bootstrap, name, "b"])
    try:
        reader.wait_read(100)
        out = {b: bytes_out(whole, b) - before[b] for b in "123"}
        assert out["2"] > 1_000_000 and out["1"] < 100_000 and out["3"] < 100_000, out
        whole.kill("2")
        fill(whole, name, 50)
        reader.wait_read(150)
    finally:
        reader.close()
