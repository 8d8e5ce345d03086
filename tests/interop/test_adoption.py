"""Both ways with the real thing: Kafka 3.9 writes, moldau adopts its directories and its ZooKeeper tree as they are and
serves the same; moldau writes, and Kafka opens it all again. Kafka's own dump tool reads what we leave behind without
a complaint, and ours prints the same of every file.
"""
import pytest

from tests.kit import adoption
from tests.kit.adoption import House, assert_kept, assert_same, listings, write
from tests.kit.kafka import Missing


@pytest.fixture
def house():
    made = House()
    try:
        yield made
    finally:
        made.close()


def settle(house, **up):
    try:
        return house.up(**up)
    except Missing as e:
        pytest.skip(str(e))


def write_as_moldau(house):
    """More behind what Kafka wrote, and what an administrator does."""
    for codec in adoption.CODECS:
        write(house, f"c-{codec}", 400, 200, 2, compression_type=codec)
    write(house, "idem", 200, 100, 2, enable_idempotence=True)
    write(house, "append-time", 60, 20, compression_type="gzip")
    write(house, "compacted", 400, 100, compression_type="gzip")
    write(house, "txn", 0, 20, 2)
    house.create("ours", 2, len(house.brokers), segment_bytes=5000)
    write(house, "ours", 0, 200, 2, compression_type="zstd")
    house.create("ours-deleted")
    write(house, "ours-deleted", 0, 20)
    house.delete("ours-deleted", "dash-name-0")


def there_and_back(house, kill):
    sound = (0, 10) if kill else (0,)
    opened = adoption.fill(house, len(house.brokers))
    committed = adoption.committed_offsets(house)
    by_kafka = listings(house)
    old = {topic: adoption.old_fetches(house, topic) for topic in ("c-none", "c-gzip", "c-zstd", "append-time", "txn")}
    house.leave(kill=kill)
    adoption.verify(house, allowed=sound)
    if not kill:
        adoption.dumps(house)

    house.enter("moldau")
    assert_same(by_kafka, listings(house))
    assert adoption.committed_offsets(house) == committed
    adoption.commit_offsets(house, 9)
    committed = adoption.committed_offsets(house)
    for topic, answers in old.items():
        for version, (records, error) in adoption.old_fetches(house, topic).items():
            assert error == answers[version][1], f"Fetch {version} of {topic}"
            assert records == answers[version][0], f"Fetch {version} of {topic}"
    write_as_moldau(house)
    by_moldau = listings(house)
    kept = {i: {tp: r for tp, r in found.items() if tp[0] not in ("dash-name-0", "compacted")}
            for i, found in by_kafka.items()}
    assert_kept(kept, by_moldau)
    house.leave(kill=kill)
    adoption.verify(house, allowed=sound)
    if not kill:
        assert adoption.dumps(house) == "", "Kafka's tool complains about what we wrote"

    house.enter("kafka")
    by_kafka = listings(house)
    compacted = {i: {tp: r for tp, r in found.items() if tp[0] != "compacted"} for i, found in by_moldau.items()}
    assert_same(compacted, {i: {tp: r for tp, r in found.items() if tp[0] != "compacted"}
                            for i, found in by_kafka.items()})
    assert adoption.committed_offsets(house) == committed
    adoption.transactions(house, "txn", 3, "again")
    write(house, "ours", 200, 50, 2)
    opened.abort_transaction(60)
    by_kafka = listings(house)
    adoption.commit_offsets(house, 11)
    committed = adoption.committed_offsets(house)
    house.leave()
    house.enter("moldau")
    assert_same(by_kafka, listings(house))
    assert adoption.committed_offsets(house) == committed
    house.leave()
    adoption.verify(house)


def test_kafka_then_moldau_then_kafka(house):
    settle(house)
    there_and_back(house, kill=False)


@pytest.mark.long
def test_all_of_them_are_killed(house):
    settle(house)
    there_and_back(house, kill=True)


@pytest.mark.long
def test_three_brokers(house):
    settle(house, brokers=3)
    there_and_back(house, kill=False)


@pytest.mark.long
def test_the_formats_of_old_brokers(house):
    """What a broker on the protocol of 2.6 still writes: magic 0 and 1, topics without ids, no finalised features."""
    settle(house, settings={"inter.broker.protocol.version": "2.6"})
    topics = []
    for magic, version in enumerate(("0.9.0", "0.10.2", "2.6")):
        for codec in adoption.CODECS[:4]:
            topics.append(f"v{magic}-{codec}")
            house.create(topics[-1], message_format_version=version, segment_bytes=8000, index_interval_bytes=300)
            write(house, topics[-1], 0, 150, compression_type=codec, headers=magic == 2)
    house.create("v1-append-time", message_format_version="0.10.2", message_timestamp_type="LogAppendTime")
    write(house, "v1-append-time", 0, 30, compression_type="gzip", headers=False)
    house.create("v0-compacted", message_format_version="0.9.0", cleanup_policy="compact",
                 min_cleanable_dirty_ratio="0.01", segment_bytes=2000)
    write(house, "v0-compacted", 0, 300, compression_type="gzip", headers=False)
    topics += ["v1-append-time", "v0-compacted"]
    by_kafka = listings(house)
    old = {topic: adoption.old_fetches(house, topic) for topic in topics}
    house.leave()
    adoption.dumps(house)
    adoption.verify(house)

    house.enter("moldau")
    assert_same(by_kafka, listings(house))
    assert {topic: adoption.old_fetches(house, topic) for topic in topics} == old
    for topic in topics[:-1]:
        write(house, topic, 150, 50, compression_type="lz4")        # magic 2 behind the others
    by_moldau = listings(house)
    assert_kept(by_kafka, by_moldau)
    house.leave()
    assert adoption.dumps(house) == ""
    adoption.verify(house)

    house.enter("kafka")
    assert_same(by_moldau, listings(house))
    house.leave()
