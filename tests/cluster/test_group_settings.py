"""What settings make of groups: the topic of offsets as the cluster's settings want it, and the bounds of groups, of
their members and of what is committed. All of it says the same of Kafka (--target kafka)."""
import os

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import wait_until
from tests.kit.raw import Writer

SETTINGS = {"offsets.topic.num.partitions": 7, "offsets.topic.replication.factor": 2,
            "offsets.topic.segment.bytes": 1 << 20, "offsets.retention.check.interval.ms": 200,
            "offset.metadata.max.bytes": 16, "group.max.size": 2, "group.min.session.timeout.ms": 1000,
            "group.max.session.timeout.ms": 20000, "group.initial.rebalance.delay.ms": 0}


@pytest.fixture(scope="module")
def small(new_cluster):
    made = new_cluster("groups", brokers=2, settings=SETTINGS)
    yield made
    made.close()


@pytest.fixture
def topic(small):
    name = f"t-{os.urandom(3).hex()}"
    ops.create_topic(small, name, 1, 1)
    return name


@pytest.fixture
def group():
    return f"g-{os.urandom(3).hex()}"


def connect(cluster, group):
    """To the group's coordinator, once it is ready."""
    def ready():
        c = raw.Connection(*cluster.address(ops.coordinator(cluster, group)))
        if raw_groups.describe(c, group)[0] == 0:
            return c
        c.close()
        return None
    return wait_until(ready, 30, f"the coordinator of {group}")


@pytest.fixture
def lasting(small, topic, group):
    """A group that has an offset: one without does not outlive the next look for what has expired."""
    with connect(small, group) as c:
        assert raw_groups.commit(c, group, {topic: {0: 0}}) == {(topic, 0): 0}
    return group


def test_the_topic_of_offsets_is_as_the_settings_want_it(small, group):
    ops.coordinator(small, group)
    parts = ops.partitions_of(small, "__consumer_offsets")
    assert len(parts) == 7 and all(len(p.replicas) == 2 for p in parts.values())
    admin = AdminClient({"bootstrap.servers": small.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, "__consumer_offsets")
    settings = {k: e.value for k, e in admin.describe_configs([resource])[resource].result(30).items()}
    assert (settings["cleanup.policy"], settings["compression.type"], settings["segment.bytes"]) == (
        "compact", "producer", str(1 << 20))


def test_a_full_group_takes_nobody_else(small, lasting):
    group = lasting
    with connect(small, group) as a, connect(small, group) as b, connect(small, group) as c:
        first = raw_groups.join(a, group)
        raw_groups.sync(a, group, first.generation, first.member, {first.member: b"1"})
        ident = raw_groups.join_answer(b.ask(raw_groups.JOIN_GROUP, 5, raw_groups.join_body(group))).member
        b.send(raw_groups.JOIN_GROUP, 5, raw_groups.join_body(group, ident))
        wait_until(lambda: raw_groups.heartbeat(a, group, first.generation, first.member) == 27, 10, "a rebalance")
        again = raw_groups.join(a, group, first.member)
        second = raw_groups.join_answer(raw.open_answer(raw_groups.JOIN_GROUP, 5, b.receive()))
        assert (again.error, second.error, len(again.members)) == (0, 0, 2)
        assert raw_groups.join(c, group).error == 81
        raw_groups.leave(c, group, first.member, second.member)
        assert raw_groups.join(c, group).error == 0


def test_session_timeouts_and_metadata_are_bounded(small, topic, group, lasting):
    with connect(small, lasting) as c:
        for session_ms, error in ((999, 26), (20001, 26), (1000, 0)):
            assert raw_groups.join(c, lasting, session_ms=session_ms).error == error
    with connect(small, group + "m") as c:
        assert raw_groups.commit(c, group + "m", {topic: {0: 1}}, metadata="x" * 17) == {(topic, 0): 12}
        assert raw_groups.commit(c, group + "m", {topic: {0: 1}}, metadata="x" * 16) == {(topic, 0): 0}


def test_a_member_that_goes_silent_is_dropped_in_time(small, lasting):
    with connect(small, lasting) as c:
        joined = raw_groups.join(c, lasting, session_ms=1000)
        raw_groups.sync(c, lasting, joined.generation, joined.member, {joined.member: b""})
        wait_until(lambda: raw_groups.describe(c, lasting)[1] == "Empty", 10, "the session's end")
        assert raw_groups.heartbeat(c, lasting, joined.generation, joined.member) == 25


def test_what_was_committed_for_a_moment_expires_and_the_group_with_it(small, topic, group):
    """Up to version 4 a commit may say for how long."""
    def commit(c, group, keep_ms):
        w = Writer().string(group).put("i", -1).string("").put("qi", keep_ms, 1).string(topic).put("iiq", 1, 0, 5)
        r = c.ask(raw_groups.OFFSET_COMMIT, 2, w.string("").out)
        return r.array(lambda: (r.string(), r.array(lambda: r.get("ih"))))

    kept = group + "k"
    with connect(small, group) as c, connect(small, kept) as d:
        assert commit(d, kept, 3_600_000) == [(topic, [(0, 0)])]
        assert commit(c, group, 1) == [(topic, [(0, 0)])]
        wait_until(lambda: group not in raw_groups.list_groups(c)[1], 30, "expired")
        assert raw_groups.fetch(c, group) == {} and raw_groups.describe(c, group)[1] == "Dead"
        assert raw_groups.fetch(d, kept) == {(topic, 0): (5, "", 0)}
        assert raw_groups.delete_groups(d, kept) == {kept: 0}
