"""The group coordinator on real processes: what it acknowledged survives kills of everybody, requests get Kafka's
errors, and what is deleted is gone. Most of it says the same of Kafka itself (--target kafka)."""
import os
import threading
import time

import pytest

from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import wait_until


def name(what):
    return f"{what}-{os.urandom(3).hex()}"


def connect(cluster, group):
    """To the group's coordinator, once it has loaded the group."""
    def ready():
        c = raw.Connection(*cluster.address(ops.coordinator(cluster, group)))
        if raw_groups.describe(c, group)[0] == 0:
            return c
        c.close()
        return None
    return wait_until(ready, 30, f"the coordinator of {group}")


def ask(cluster, group, question, timeout=60):
    """At the coordinator, whoever that is now; asked again while it moves or loads."""
    def once():
        with connect(cluster, group) as c:
            answer = question(c)
        codes = set(answer.values()) if isinstance(answer, dict) else {answer}
        assert not codes & {14, 15, 16}, codes
        return (answer,)
    return wait_until(once, timeout, f"the coordinator of {group}")[0]


def offsets_of(cluster, group):
    return {k: v[0] for k, v in ask_fetch(cluster, group).items()}


def ask_fetch(cluster, group):
    def once():
        with connect(cluster, group) as c:
            return (raw_groups.fetch(c, group),)
    return wait_until(once, 60, f"offsets of {group}")[0]


def test_what_was_acknowledged_survives_everybody_being_killed(whole):
    topic = name("t")
    ops.create_topic(whole, topic, 4, 3)
    groups = [name("g") for _ in range(20)]
    for i, group in enumerate(groups):
        assert set(ask(whole, group, lambda c: raw_groups.commit(
            c, group, {topic: {0: i, 3: 1000 + i}}, metadata=f"m{i}")).values()) == {0}
    for b in whole.brokers:
        whole.kill(b)
    for b in whole.brokers:
        whole.start(b)
    whole.wait_serving()
    for i, group in enumerate(groups):
        assert ask_fetch(whole, group) == {(topic, 0): (i, f"m{i}", 0), (topic, 3): (1000 + i, f"m{i}", 0)}


@pytest.mark.moldau_only
def test_no_acknowledged_commit_is_lost_when_the_coordinator_is_killed(whole):
    """Commits go on while the coordinator is killed; the last that was acknowledged is there, or a later one."""
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 3)
    acked, stop, gaps = [-1], threading.Event(), []

    def commit_on():
        n, last = 0, time.monotonic()
        while not stop.is_set():
            try:
                with connect(whole, group) as c:
                    while not stop.is_set():
                        n += 1
                        if set(raw_groups.commit(c, group, {topic: {0: n}}).values()) != {0}:
                            break
                        acked[0] = n
                        gaps.append(time.monotonic() - last)
                        last = time.monotonic()
            except (OSError, EOFError, AssertionError):
                pass
    thread = threading.Thread(target=commit_on)
    thread.start()
    try:
        for _ in range(3):
            seen = acked[0]
            wait_until(lambda: acked[0] > seen + 100, 30, "commits go on")
            victim = ops.coordinator(whole, group)
            whole.kill(victim)
            before = acked[0]
            wait_until(lambda: acked[0] > before + 100, 30, "commits go on after the kill")
            whole.start(victim)
            ops.wait_full_isr(whole)
    finally:
        stop.set()
        thread.join()
    print(f"longest gap between acknowledged commits: {max(gaps) * 1000:.0f} ms")
    assert offsets_of(whole, group)[topic, 0] >= acked[0]


def test_a_member_goes_on_with_the_new_coordinator(whole):
    """Membership is in the log: who beats at the new coordinator is still a member of the same generation."""
    group = name("g")
    with connect(whole, group) as c:
        joined = raw_groups.join(c, group, session_ms=30000)
        error, got = raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b"mine"})
        assert (error, got) == (0, b"mine")
    victim = ops.coordinator(whole, group)
    whole.kill(victim)
    wait_until(lambda: ops.coordinator(whole, group) != victim, 30, "another coordinator")
    assert ask(whole, group, lambda c: raw_groups.heartbeat(c, group, joined.generation, joined.member)) == 0
    with connect(whole, group) as c:
        assert raw_groups.sync(c, group, joined.generation, joined.member) == (0, b"mine")
        assert raw_groups.describe(c, group)[:2] == (0, "Stable")
        assert raw_groups.leave(c, group, joined.member) == (0, {joined.member: 0})
        assert raw_groups.describe(c, group)[:2] == (0, "Empty")
    whole.start(victim)


def test_errors_are_kafkas(whole):
    topic, group, other = name("t"), name("g"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        assert raw_groups.heartbeat(c, group, 0, "x") == 25
        assert raw_groups.join(c, group, session_ms=1).error == 26
        assert raw_groups.join(c, group, member="made-up").error == 25
        assert raw_groups.join(c, "").error == 24
        assert raw_groups.join(c, group, protocols=()).error == 23
        assert raw_groups.sync(c, group, 1, "x") == (25, b"")
        assert raw_groups.leave(c, group, "x") == (0, {"x": 25})
        assert raw_groups.commit(c, other_of(whole, group, c), {topic: {0: 1}}) == {(topic, 0): 16}
        assert raw_groups.commit(c, group, {topic: {0: 1, 7: 1}, "none-such": {0: 1}}) == {
            (topic, 0): 0, (topic, 7): 3, ("none-such", 0): 3}
        assert raw_groups.commit(c, group, {topic: {0: 1}}, metadata="x" * 4097) == {(topic, 0): 12}
        assert raw_groups.commit(c, group, {topic: {0: 1}}, generation=3, member="x") == {(topic, 0): 25}
        joined = raw_groups.join(c, group)
        assert raw_groups.commit(c, group, {topic: {0: 1}}, joined.generation, joined.member) == {(topic, 0): 27}
        assert raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b""})[0] == 0
        assert raw_groups.commit(c, group, {topic: {0: 2}}) == {(topic, 0): 25}
        assert raw_groups.commit(c, group, {topic: {0: 2}}, joined.generation - 1, joined.member) == {(topic, 0): 22}
        assert raw_groups.commit(c, group, {topic: {0: 2}}, joined.generation, joined.member) == {(topic, 0): 0}
        assert raw_groups.delete_groups(c, group) == {group: 68}
        assert raw_groups.fetch(c, group, {topic: [0, 5]}) == {(topic, 0): (2, "", 0), (topic, 5): (-1, "", 0)}
    del other


def other_of(cluster, group, c):
    """A group that is not coordinated by whom c is connected to."""
    mine = ops.coordinator(cluster, group)
    while True:
        candidate = name("g")
        if ops.coordinator(cluster, candidate) != mine:
            return candidate


def test_lists_describes_and_deletes(whole):
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        assert raw_groups.describe(c, group) == (0, "Dead", "", "", [])
        assert raw_groups.delete_groups(c, group) == {group: 69}
        assert raw_groups.commit(c, group, {topic: {0: 5}}) == {(topic, 0): 0}
        assert raw_groups.list_groups(c)[1].get(group) == ""
        joined = raw_groups.join(c, group, protocols=[("range", raw_groups.subscription(topic))])
        raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b"part"})
        error, state, kind, protocol, members = raw_groups.describe(c, group)
        assert (error, state, kind, protocol) == (0, "Stable", "consumer", "range")
        (ident, client, host, metadata, assignment), = members
        assert (ident, client, host) == (joined.member, "moldau-tests", "/127.0.0.1")
        assert (metadata, assignment) == (raw_groups.subscription(topic), b"part")
        raw_groups.leave(c, group, joined.member)
        assert raw_groups.list_groups(c)[1][group] == "consumer"
        assert raw_groups.delete_groups(c, group) == {group: 0}
        assert raw_groups.describe(c, group)[1] == "Dead"
        assert raw_groups.fetch(c, group) == {}


@pytest.mark.moldau_only
def test_what_is_named_many_times_is_told_once(whole):
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        assert raw_groups.commit(c, group, {topic: {0: 5}}, metadata="m" * 4000) == {(topic, 0): 0}
        sizes = [len(c.ask(api, version, body).data) for many in (1, 1000) for api, version, body in (
            (raw.METADATA, 12, raw.metadata_body([topic] * many)),
            (raw_groups.OFFSET_FETCH, 7, raw_groups.fetch_body(group, {topic: [0] * many})),
            (raw_groups.DESCRIBE_GROUPS, 0, raw_groups.describe_body(*[group] * many)))]
    assert sizes[:3] == sizes[3:]


READ_DELETE_DESCRIBE = 1 << 3 | 1 << 6 | 1 << 8
NOT_ASKED = -2**31


def test_operations_and_filters(whole):
    topic, group, other = name("t"), name("g"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        other = other_of(whole, group, c)
        joined = raw_groups.join(c, group, kind="connect", protocols=[("default", b"")])
        raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b""})
        assert raw_groups.operations(c, group, other) == {
            group: (0, READ_DELETE_DESCRIBE), other: (16, NOT_ASKED)}
        mine = ("connect", "Stable", "classic")
        assert raw_groups.list_filtered(c)[group] == mine
        for states, types, found in [(["sTABLE"], [], True), (["Empty", "Stable"], ["CLASSIC"], True),
                                     (["Empty"], [], False), ([], ["consumer"], False), ([], ["none such"], False),
                                     (["none such"], [], False)]:
            assert raw_groups.list_filtered(c, states, types).get(group) == (mine if found else None), (states, types)
        assert raw_groups.delete_offsets(c, group, {topic: [0]}) == (68, {})    # its members do not subscribe
        raw_groups.leave(c, group, joined.member)
        assert raw_groups.list_filtered(c, ["Empty"])[group] == ("connect", "Empty", "classic")


def test_a_member_of_the_new_protocol_is_told_that_there_is_none(whole):
    """As 3.9's coordinator does without group.coordinator.new.enable: clients then fall back, or say so."""
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        assert {68: (0, 0), 69: (0, 0)}.items() <= c.api_versions().items()
        assert raw_groups.new_heartbeat(c, group, topic) == (35, None, 0, 0)
        assert raw_groups.new_describe(c, group, "other") == {group: (35, ""), "other": (35, "")}
        assert raw_groups.describe(c, group)[1] == "Dead"


def test_the_second_of_a_static_instance_fences_the_first(whole):
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        first = raw_groups.join(c, group, instance="i")
        assert raw_groups.sync(c, group, first.generation, first.member, {first.member: b"all"}, "i") == (0, b"all")
        second = raw_groups.join(c, group, instance="i")
        assert second.error == 0 and second.generation == first.generation and second.member != first.member
        assert raw_groups.sync(c, group, second.generation, second.member, instance="i") == (0, b"all")
        assert raw_groups.heartbeat(c, group, first.generation, first.member, "i") == 82
        assert raw_groups.commit(c, group, {topic: {0: 1}}, first.generation, first.member, instance="i") == {
            (topic, 0): 82}
        assert raw_groups.sync(c, group, first.generation, first.member, instance="i")[0] == 82
        assert raw_groups.join(c, group, first.member, instance="i").error == 82
        assert raw_groups.leave(c, group, first.member, instance="i") == (0, {first.member: 82})
        assert raw_groups.heartbeat(c, group, second.generation, second.member, "i") == 0
        assert raw_groups.commit(c, group, {topic: {0: 1}}, second.generation, second.member, instance="i") == {
            (topic, 0): 0}
        assert raw_groups.leave(c, group, "", instance="j") == (0, {"": 25})
        assert raw_groups.leave(c, group, "", instance="i") == (0, {"": 0})     # as an operator does
        assert raw_groups.describe(c, group)[1] == "Empty"


def test_offsets_are_deleted(whole):
    topic, other, group = name("t"), name("t"), name("g")
    for t in (topic, other):
        ops.create_topic(whole, t, 2, 1)
    with connect(whole, group) as c:
        assert raw_groups.delete_offsets(c, group, {topic: [0]}) == (69, {})
        assert raw_groups.delete_offsets(c, group, {"none-such": [0]}) == (69, {})
        assert raw_groups.delete_offsets(c, "", {}) == (24, {})
        joined = raw_groups.join(c, group, protocols=[("range", raw_groups.subscription(topic))])
        raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b""})
        raw_groups.commit(c, group, {topic: {0: 5, 1: 6}, other: {0: 7, 1: 8}}, joined.generation, joined.member)
        assert raw_groups.delete_offsets(c, group, {topic: [0], other: [1, 9], "none-such": [0]}) == (
            0, {(topic, 0): 86, (other, 1): 0, (other, 9): 3, ("none-such", 0): 3})
        raw_groups.leave(c, group, joined.member)
        assert raw_groups.delete_offsets(c, group, {topic: [0]}) == (0, {(topic, 0): 0})
        assert {k: v[0] for k, v in raw_groups.fetch(c, group).items()} == {(topic, 1): 6, (other, 0): 7}


def test_a_deleted_groups_tombstones_are_in_the_log(whole):
    """So it stays deleted after a fail-over."""
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 1)
    with connect(whole, group) as c:
        raw_groups.commit(c, group, {topic: {0: 5}})
        assert raw_groups.delete_groups(c, group) == {group: 0}
        # what comes later is behind the tombstones, which nobody waits for
        raw_groups.commit(c, group, {topic: {0: 6}})
        assert raw_groups.delete_groups(c, group) == {group: 0}
    ops.wait_full_isr(whole)
    victim = ops.coordinator(whole, group)
    whole.kill(victim)
    wait_until(lambda: ops.coordinator(whole, group) != victim, 30, "another coordinator")
    assert offsets_of(whole, group) in ({}, {(topic, 0): 6})
    whole.start(victim)


def test_offsets_of_a_deleted_topic_vanish(whole):
    topic, group = name("t"), name("g")
    ops.create_topic(whole, topic, 1, 3)
    assert ask(whole, group, lambda c: raw_groups.commit(c, group, {topic: {0: 5}})) == {(topic, 0): 0}
    ops.ask_controller(whole, lambda c: c.delete_topic(topic))
    wait_until(lambda: not offsets_of(whole, group), 30, "no offsets any more")

    def gone():
        with connect(whole, group) as c:
            return group not in raw_groups.list_groups(c)[1]
    wait_until(gone, 30, "nothing else kept the group")
