"""A healthy cluster: create, produce at every acks, consume, what Metadata says, ListOffsets, deletion."""
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kit import batch, ops, raw, settings
from tests.kit.cluster import wait_until


def producer(cluster, **conf):
    return Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, **conf})


def send(p, topic, count, partitions, tag="v"):
    failed = []
    for i in range(count):
        p.produce(topic, key=f"k{i}", value=f"{tag}{i}", partition=i % partitions,
                  on_delivery=lambda err, msg: failed.append(err) if err else None)
        p.poll(0)
    assert p.flush(30) == 0, "not everything was delivered"
    assert not failed, failed[:3]


def test_metadata_names_all_brokers_at_every_broker(whole):
    for b in whole.brokers:
        with raw.Connection(whole.host, whole.port(b)) as c:
            m = c.metadata([])
        assert m.brokers == {int(x): (whole.host, whole.port(x)) for x in whole.brokers}
        assert m.cluster_id and len(m.cluster_id) == 22
        assert m.controller_id in m.brokers


def test_admin_client_creates_lists_and_deletes(whole):
    admin = AdminClient({"bootstrap.servers": whole.bootstrap})
    admin.create_topics([NewTopic("made", 6, 3, config={"retention.ms": "3600000"})])["made"].result(30)
    ops.wait_leaders(whole, "made", 6)
    parts = admin.list_topics("made", timeout=10).topics["made"].partitions
    assert len(parts) == 6
    assert all(sorted(p.replicas) == [1, 2, 3] for p in parts.values())
    assert {p.leader for p in parts.values()} == {1, 2, 3}, "leaders are spread"
    with pytest.raises(Exception, match="TOPIC_ALREADY_EXISTS"):
        admin.create_topics([NewTopic("made", 1, 1)])["made"].result(30)
    admin.delete_topics(["made"])["made"].result(30)
    wait_until(lambda: "made" not in admin.list_topics(timeout=10).topics, 30, "topic gone from metadata")
    wait_until(lambda: not any(d.name.startswith("made-") and not d.name.endswith("-delete")
                               for b in whole.brokers for d in whole.data(b).iterdir()),
               30, "its directories gone")


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_what_is_produced_is_consumed(whole, topic, acks):
    name = topic(partitions=3)
    send(producer(whole, acks=acks), name, 3000, 3)

    def all_there():
        return sum(ops.end_offset(whole, name, p) for p in range(3)) == 3000
    wait_until(all_there, 30, "3000 records")
    for p in range(3):
        records = ops.read_partition(whole, name, p)
        ops.assert_dense(records, name)
        assert [r.value for r in records] == [f"v{i}".encode() for i in range(p, 3000, 3)]
        assert [r.key for r in records] == [f"k{i}".encode() for i in range(p, 3000, 3)]
    ops.assert_replicas_identical(whole, name)


def test_an_assigned_consumer_reads_to_the_end(whole, topic):
    name = topic(partitions=2)
    send(producer(whole, acks="all"), name, 2000, 2)
    consumer = Consumer({"bootstrap.servers": whole.bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": False})
    consumer.assign([TopicPartition(name, p, 0) for p in range(2)])
    got = []
    wait_until(lambda: got.extend(m.value() for m in consumer.consume(500, 0.5) if not m.error())
               or len(got) >= 2000, 30, "2000 records consumed")
    consumer.close()
    assert sorted(got) == sorted(f"v{i}".encode() for i in range(2000))


def test_the_idempotent_producer_is_served(whole, topic):
    name = topic(partitions=3)
    send(producer(whole, **{"enable.idempotence": True}), name, 3000, 3)
    for p in range(3):
        assert [r.value for r in ops.read_partition(whole, name, p)] == \
            [f"v{i}".encode() for i in range(p, 3000, 3)]


def test_a_repeated_sequence_is_stored_once_and_a_gap_is_refused(whole, topic):
    name = topic(partitions=1)

    def ask(c):
        pid, epoch = c.init_producer_id()
        first = batch.build([b"a", b"b"], producer_id=pid, producer_epoch=epoch, sequence=0)
        assert c.produce(name, {0: first})[0].error == 0
        again = c.produce(name, {0: first})[0]
        assert (again.error, again.base_offset) == (0, 0), "a duplicate is acknowledged with its first offset"
        gap = batch.build([b"z"], producer_id=pid, producer_epoch=epoch, sequence=5)
        assert c.produce(name, {0: gap})[0].error == 45
        good = batch.build([b"c"], producer_id=pid, producer_epoch=epoch, sequence=2)
        assert c.produce(name, {0: good})[0].base_offset == 2
    ops.ask_leader(whole, name, 0, ask)
    assert [r.value for r in ops.read_partition(whole, name, 0)] == [b"a", b"b", b"c"]


def test_offsets_are_found_by_time(whole, topic):
    name = topic(partitions=1)
    base = int(time.time() * 1000) - 10_000

    def ask(c):
        for i in range(10):
            assert c.produce(name, {0: batch.build([b"x"], timestamp_ms=base + 100 * i)})[0].error == 0
        assert c.list_offsets(name, {0: raw.EARLIEST})[0] == (0, -1, 0)
        assert c.list_offsets(name, {0: raw.LATEST})[0] == (0, -1, 10)
        assert c.list_offsets(name, {0: base + 250})[0] == (0, base + 300, 3)
        assert c.list_offsets(name, {0: base + 300})[0] == (0, base + 300, 3)
        assert c.list_offsets(name, {0: base + 5000})[0] == (0, -1, -1)
    ops.ask_leader(whole, name, 0, ask)


def test_where_an_epoch_ended_only_the_leader_says(whole, topic):
    name = topic(partitions=1)
    p = ops.partitions_of(whole, name)[0]
    with raw.Connection(whole.host, whole.port(str(p.leader))) as c:
        assert c.produce(name, {0: batch.build([b"a", b"b"])})[0].error == 0
        assert c.epoch_end(name, 0, p.epoch) == (0, 0, p.epoch, 2)
        assert c.epoch_end(name, 0, p.epoch + 5) == (0, 0, -1, -1)
        assert c.epoch_end(name, 0, p.epoch, current=p.epoch + 5)[0] == 75
    follower = next(b for b in p.replicas if b != p.leader)
    with raw.Connection(whole.host, whole.port(str(follower))) as c:
        for replica_id in (-1, -2):
            assert c.epoch_end(name, 0, p.epoch, replica_id=replica_id)[0] == 6


def test_errors_are_kafkas(whole, topic):
    name = topic(partitions=1, replication=1)
    leader = ops.partitions_of(whole, name)[0].leader
    other = next(b for b in whole.brokers if int(b) != leader)
    with raw.Connection(whole.host, whole.port(other)) as c:
        assert c.produce(name, {0: batch.build([b"x"])})[0].error in (3, 6)
        assert c.metadata(["no-such-topic"]).topic_errors["no-such-topic"] == 3
    with raw.Connection(whole.host, whole.port(str(leader))) as c:
        assert c.produce(name, {7: batch.build([b"x"])})[7].error == 3
        assert c.fetch(name, {0: 99})[0].error == 1
        broken = bytearray(batch.build([b"x"]))
        broken[-1] ^= 1
        assert c.produce(name, {0: bytes(broken)})[0].error == 2


def test_partitions_of_one_request_are_committed_apart(whole, topic):
    """What has one replica is committed once it is appended: it holds nobody up who waits for the others as well."""
    alone, shared = topic(assignments=[[1]]), topic(assignments=[[1, 2, 3]])
    body = raw.produce_topics_body({t: {0: batch.build([b"x"])} for t in (alone, shared)}, timeout_ms=8000)
    with raw.Connection(*whole.address("1")) as c:
        for _ in range(20):
            at = time.monotonic()
            c.ask(raw.PRODUCE, 9, body)
            assert time.monotonic() - at < 4
    for t in (alone, shared):
        assert ops.end_offset(whole, t, 0) == 20


def two_in_sync(whole, topic, min_insync):
    """(a topic of one partition, who of its three replicas is stopped, produce(acks) to it, the error)."""
    name = topic(partitions=1, replication=3, configs={"min.insync.replicas": min_insync})
    leader = ops.partitions_of(whole, name)[0].leader
    victim = next(b for b in whole.brokers if int(b) != leader)
    whole.stop(victim)
    wait_until(lambda: len(ops.partitions_of(whole, name)[0].isr) == 2, 60, "ISR of two")

    def produce(acks):
        return ops.ask_leader(whole, name, 0,
                              lambda c: c.produce(name, {0: batch.build([b"x"])}, acks=acks)[0].error)
    return name, victim, produce


def test_min_insync_replicas_is_held(whole, topic):
    name, victim, produce = two_in_sync(whole, topic, 3)
    assert produce(-1) == 19
    assert produce(1) == 0
    whole.start(victim)
    wait_until(lambda: produce(-1) == 0, 60, "writable again")


def test_a_raised_min_insync_replicas_holds_what_is_written_from_then_on(whole, topic):
    name, victim, produce = two_in_sync(whole, topic, 2)
    assert produce(-1) == 0
    settings.alter_topic(whole, name, {"min.insync.replicas": "3"})
    wait_until(lambda: produce(-1) == 19, 30, "too few in sync")
    end = ops.end_offset(whole, name, 0)
    for _ in range(20):
        assert produce(1) == 0
    assert ops.end_offset(whole, name, 0) == end        # accepted, and not to be read
    assert len(ops.read_partition(whole, name, 0)) == end
    whole.start(victim)
    wait_until(lambda: ops.end_offset(whole, name, 0) == end + 20, 60, "committed")


def test_a_topic_is_created_by_producing_to_it(whole):
    send(producer(whole, acks="all"), "made-by-producing", 10, 1)
    assert sum(len(ops.read_partition(whole, "made-by-producing", p))
               for p in ops.partitions_of(whole, "made-by-producing")) == 10
