"""Consumers from before Kafka 0.11 (Fetch 0 to 3) are given message sets of magic 0 and 1, made out of today's batches."""
import pytest
from confluent_kafka import Producer

from tests.kit import batch, ops

CODECS = ("none", "gzip", "snappy", "lz4")
BASE = 1_700_000_000_000


def produce(cluster, topic, codec, first, count=5):
    p = Producer({"bootstrap.servers": cluster.bootstrap, "compression.type": codec, "linger.ms": 100, "acks": "all"})
    for i in range(first, first + count):
        p.produce(topic, key=f"k{i}" if i % 2 else None, value=f"v{i}" * 20 if i % 3 else None, partition=0,
                  timestamp=BASE + i, headers=[("h", b"x")])
    assert p.flush(30) == 0


def read_old(cluster, topic, version, upto):
    """Records from the beginning up to offset upto, asking again as an old consumer does."""
    found, offset = [], 0

    def ask(c):
        nonlocal offset
        while offset < upto:
            got = c.fetch_old(version, topic, {0: offset})[0]
            assert got.error == 0, f"error {got.error} at {offset}"
            records = [(m, r) for m, r in batch.parse_old(got.data) if r.offset >= offset]
            assert records, f"nothing at {offset}"
            found.extend(records)
            offset = records[-1][1].offset + 1
        return True
    ops.ask_leader(cluster, topic, 0, ask)
    return found


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_every_codec_is_converted_down(whole, topic, version):
    name = topic(partitions=1)
    for i, codec in enumerate(CODECS):
        produce(whole, name, codec, 5 * i)
    produce(whole, name, "zstd", 20)
    magic = 0 if version < 2 else 1
    found = read_old(whole, name, version, 20)
    assert [r.offset for _, r in found] == list(range(20))
    for i, (m, r) in enumerate(found):
        assert m == magic
        assert r.timestamp == (BASE + i if magic == 1 else -1)
        assert r.key == (f"k{i}".encode() if i % 2 else None)
        assert r.value == ((f"v{i}" * 20).encode() if i % 3 else None)
    # zstd is younger than these formats; what stands before it has been given.
    assert ops.ask_leader(whole, name, 0, lambda c: c.fetch_old(version, name, {0: 20})[0].error) == 76


def test_a_topic_may_refuse_conversion(whole, topic):
    name = topic(partitions=1, configs={"message.downconversion.enable": "false"})
    produce(whole, name, "none", 0)
    assert ops.ask_leader(whole, name, 0, lambda c: c.fetch_old(3, name, {0: 0})[0].error) == 35
    assert len(ops.read_partition(whole, name, 0)) == 5


def test_a_topic_of_zstd_is_for_newer_clients(whole, topic):
    name = topic(partitions=1, configs={"compression.type": "zstd"})
    produce(whole, name, "gzip", 0)
    assert ops.ask_leader(whole, name, 0, lambda c: c.fetch_old(3, name, {0: 0})[0].error) == 76
    assert len(ops.read_partition(whole, name, 0)) == 5
