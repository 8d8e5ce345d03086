"""What a leader checks and rewrites in a produced batch: the same batches to moldau and to Apache Kafka 3.9, the
same answers, and the same records stored, in the same bytes where no codec had to be run."""
import os
import time

import pytest

from tests.kit import batch, ops
from tests.kit.cluster import make_cluster
from tests.kit.kafka import Missing

pytestmark = pytest.mark.moldau_only        # it starts both itself
NOW = int(time.time() * 1000)
HOUR = 3_600_000
VALUES = [b"first", b"", b"third " * 50]
KEYS = [b"a", b"b", b"c"]
HEADERS = [[("h", b"1")], [], [("x", None), ("x", b"2")]]

TOPICS = {
    "plain": {},
    "gzip": {"compression.type": "gzip", "compression.gzip.level": 9},
    "snappy": {"compression.type": "snappy"},
    "lz4": {"compression.type": "lz4", "compression.lz4.level": 1},
    "zstd": {"compression.type": "zstd", "compression.zstd.level": 10},
    "uncompressed": {"compression.type": "uncompressed"},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
    "append-time-zstd": {"message.timestamp.type": "LogAppendTime", "compression.type": "zstd"},
    "bounds": {"message.timestamp.before.max.ms": HOUR, "message.timestamp.after.max.ms": HOUR},
    "old-bound": {"message.timestamp.difference.max.ms": HOUR},
    "compact": {"cleanup.policy": "compact"},
    "compact-gzip": {"cleanup.policy": "compact,delete", "compression.type": "gzip"},
    "small": {"max.message.bytes": 300},
    "small-uncompressed": {"max.message.bytes": 300, "compression.type": "uncompressed"},
    "small-gzip": {"max.message.bytes": 300, "compression.type": "gzip"},
}


def cases():
    """name: bytes"""
    yield "empty", b""
    for codec in batch.CODECS.values():
        def make(values=VALUES, codec=codec, **options):
            return batch.build(values, timestamp_ms=options.pop("timestamp_ms", NOW), codec=codec, **options)
        yield f"{codec}", make(keys=KEYS, headers=HEADERS)
        yield f"{codec} without keys", make()
        yield f"{codec} one key missing", make(keys=[b"a", None, b"c"])
        yield f"{codec} null values", make([None, b"x", None], keys=KEYS)
        yield f"{codec} times apart", make(keys=KEYS, timestamps=[NOW - 5, NOW + 7, NOW - 9])
        yield f"{codec} no time", make(keys=KEYS, timestamp_ms=-1)
        yield f"{codec} one too old", make(keys=KEYS, timestamps=[NOW, NOW - 3 * HOUR, NOW])
        yield f"{codec} two too new", make(keys=KEYS, timestamps=[NOW, NOW + 3 * HOUR, NOW + 4 * HOUR])
        yield f"{codec} old and keyless", make(keys=[None, b"b", None], timestamps=[NOW, NOW - 3 * HOUR, NOW])
        yield f"{codec} leader's clock", make(keys=KEYS, attributes=8)
        yield f"{codec} large when plain", make([b"z" * 400], keys=[b"a"])
        yield f"{codec} idempotent", make(keys=KEYS, producer_id=7000 + len(codec), producer_epoch=0, sequence=0)
        yield f"{codec} control", make(keys=KEYS, attributes=32)
        yield f"{codec} count too large", make(keys=KEYS, count=4)
        yield f"{codec} count too small", make(keys=KEYS, count=2)
        yield f"{codec} no sequence", make(keys=KEYS, producer_id=9, producer_epoch=0)
        yield f"{codec} base offset", make(keys=KEYS, base_offset=5)
        damaged = bytearray(make(keys=KEYS))
        damaged[-3] ^= 64
        yield f"{codec} damaged", bytes(damaged)
        yield f"{codec} cut short", make(keys=KEYS)[:-4]
        yield f"{codec} two batches", make(keys=KEYS) * 2
    wide = [os.urandom(200)]
    yield "incompressible", batch.build(wide, keys=[b"k"], timestamp_ms=NOW)
    yield "incompressible zstd", batch.build(wide, keys=[b"k"], timestamp_ms=NOW, codec="zstd")


@pytest.fixture(scope="module")
def both():
    made = []
    try:
        for target in ("moldau", "kafka"):
            made.append(make_cluster(target, "validation"))
            made[-1].up(brokers=1)
        for name, configs in TOPICS.items():
            for cluster in made:
                ops.create_topic(cluster, name, 1, 1, configs)
        yield made
    except Missing as e:
        pytest.skip(f"kafka: {e}")
    finally:
        for cluster in made:
            cluster.close()


def answered(got, configs):
    """What must be the same; texts are our own, and there are more of them."""
    time_of_append = "LogAppendTime" if got.append_time > 0 else got.append_time
    return (got.error, got.base_offset, time_of_append, got.log_start, [i for i, _ in got.record_errors])


def stored(cluster, topic):
    folder = cluster.data("1") / f"{topic}-0"
    return [b for log in sorted(folder.glob("*.log")) for b in batch.parse(log.read_bytes())]


def seen(b, stamped):
    times = (None, None) if stamped else (b.base_timestamp, b.max_timestamp)
    return (b.base_offset, b.last_offset, b.leader_epoch, b.attributes, b.producer_id, b.producer_epoch,
            b.base_sequence, b.count, *times,
            [(r.offset, r.key, r.value, r.headers, None if stamped else r.timestamp) for r in b.records()])


@pytest.mark.parametrize("topic", TOPICS)
def test_the_same_answers_and_the_same_records(both, topic):
    stamped = "LogAppendTime" in TOPICS[topic].values()
    differences = []
    for name, data in cases():
        answers = []
        for cluster in both:
            answers.append(ops.ask_leader(cluster, topic, 0, lambda c: c.produce(topic, {0: data}, acks=1)[0]))
        ours, theirs = (answered(a, TOPICS[topic]) for a in answers)
        if ours != theirs or (answers[1].message and not answers[0].message):
            differences.append((name, "moldau", ours, "kafka", theirs, answers[1].message))
    assert not differences, "\n".join(map(str, differences))
    ours, theirs = (stored(cluster, topic) for cluster in both)
    assert [seen(b, stamped) for b in ours] == [seen(b, stamped) for b in theirs]
    if "compression.type" not in TOPICS[topic] and not stamped:
        assert [b.raw for b in ours] == [b.raw for b in theirs], "nothing had to be compressed anew"
