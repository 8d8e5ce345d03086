"""What a member of a consumer group and an operator say on the wire, over tests/kit/raw.py's connections."""
from dataclasses import dataclass

from tests.kit.raw import FLEXIBLE_FROM, KafkaError, Writer

OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP = 8, 9, 10, 11
HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, DESCRIBE_GROUPS, LIST_GROUPS = 12, 13, 14, 15, 16
DELETE_GROUPS, OFFSET_DELETE, CONSUMER_GROUP_HEARTBEAT, CONSUMER_GROUP_DESCRIBE = 42, 47, 68, 69
FLEXIBLE_FROM.update({OFFSET_COMMIT: 8, OFFSET_FETCH: 6, FIND_COORDINATOR: 3, JOIN_GROUP: 6, HEARTBEAT: 4,
                      LEAVE_GROUP: 4, SYNC_GROUP: 4, DESCRIBE_GROUPS: 5, LIST_GROUPS: 3, DELETE_GROUPS: 2,
                      OFFSET_DELETE: 99, CONSUMER_GROUP_HEARTBEAT: 0, CONSUMER_GROUP_DESCRIBE: 0})


def subscription(*topics):
    """The consumer protocol's, version 0."""
    w = Writer().put("hi", 0, len(topics))
    for t in topics:
        w.string(t)
    return bytes(w.put("i", -1).out)


@dataclass
class Joined:
    error: int
    generation: int
    protocol: str
    leader: str
    member: str
    members: dict       # id: metadata; the leader's only


def find_coordinator(c, *groups):
    """{group: (error, node, host, port)}"""
    w = Writer().put("b", 0).carray(len(groups))
    for g in groups:
        w.cstring(g)
    r = c.ask(FIND_COORDINATOR, 4, w.tags().out)
    r.get("i")

    def one():
        key, node, host, port = r.cstring(), r.get("i"), r.cstring(), r.get("i")
        error = r.get("h")
        r.cstring()
        r.tags()
        return key, (error, node, host, port)
    return dict(r.carray(one))


def join_body(group, member="", protocols=(("range", b""),), session_ms=10000, rebalance_ms=60000, kind="consumer",
              instance=None):
    w = Writer().string(group).put("ii", session_ms, rebalance_ms).string(member).string(instance).string(kind)
    w.put("i", len(protocols))
    for name, metadata in protocols:
        w.string(name).put("i", len(metadata))
        w.out += metadata
    return w.out


def join_answer(r):
    _, error, generation = r.get("ihi")
    protocol, leader, member = r.string(), r.string(), r.string()

    def one():
        ident = r.string()
        r.string()
        return ident, r.bytes()
    return Joined(error, generation, protocol, leader, member, dict(r.array(one)))


def join(c, group, member="", **options):
    """Version 5, and once more when the coordinator first wants to give an id."""
    answer = join_answer(c.ask(JOIN_GROUP, 5, join_body(group, member, **options)))
    if answer.error == 79:
        answer = join_answer(c.ask(JOIN_GROUP, 5, join_body(group, answer.member, **options)))
    return answer


def sync_body(group, generation, member, assignments=None, instance=None):
    w = Writer().string(group).put("i", generation).string(member).string(instance).put("i", len(assignments or {}))
    for ident, data in (assignments or {}).items():
        w.string(ident).put("i", len(data))
        w.out += data
    return w.out


def sync_answer(r):
    """(error, assignment)"""
    _, error = r.get("ih")
    return error, r.bytes()


def sync(c, group, generation, member, assignments=None, instance=None):
    return sync_answer(c.ask(SYNC_GROUP, 3, sync_body(group, generation, member, assignments, instance)))


def heartbeat(c, group, generation, member, instance=None):
    body = Writer().string(group).put("i", generation).string(member).string(instance).out
    return c.ask(HEARTBEAT, 3, body).get("ih")[1]


def leave(c, group, *members, instance=None):
    """(error, {member: error}); instance: of the one member"""
    w = Writer().string(group).put("i", len(members))
    for m in members:
        w.string(m).string(instance)
    r = c.ask(LEAVE_GROUP, 3, w.out)
    _, error = r.get("ih")

    def one():
        ident = r.string()
        r.string()
        return ident, r.get("h")
    return error, dict(r.array(one))


def commit_body(group, offsets, generation=-1, member="", metadata="", instance=None):
    """offsets: {topic: {partition: offset}}"""
    w = Writer().string(group).put("i", generation).string(member).string(instance).put("i", len(offsets))
    for topic, parts in offsets.items():
        w.string(topic).put("i", len(parts))
        for index, offset in parts.items():
            w.put("iqi", index, offset, -1).string(metadata)
    return w.out


def commit_answer(r):
    """{(topic, partition): error}"""
    r.get("i")
    out = {}

    def topic():
        name = r.string()
        for index, error in r.array(lambda: r.get("ih")):
            out[name, index] = error
    r.array(topic)
    return out


def commit(c, group, offsets, generation=-1, member="", metadata="", instance=None):
    return commit_answer(c.ask(OFFSET_COMMIT, 7, commit_body(group, offsets, generation, member, metadata, instance)))


def fetch_body(group, offsets=None, require_stable=False):
    w = Writer().cstring(group)
    if offsets is None:
        w.uvarint(0)
    else:
        w.carray(len(offsets))
        for topic, parts in offsets.items():
            w.cstring(topic).carray(len(parts)).put(f"{len(parts)}i", *parts).tags()
    return w.put("?", require_stable).tags().out


def fetch(c, group, offsets=None, require_stable=False):
    """{(topic, partition): (offset, metadata, error)}; offsets: {topic: [partition, ...]}, None for all"""
    r = c.ask(OFFSET_FETCH, 7, fetch_body(group, offsets, require_stable))
    r.get("i")
    out = {}

    def partition():
        index, offset, _ = r.get("iqi")
        metadata, error = r.cstring(), r.get("h")
        r.tags()
        return index, (offset, metadata, error)

    def topic():
        name = r.cstring()
        for index, what in r.carray(partition):
            out[name, index] = what
        r.tags()
    r.carray(topic)
    error = r.get("h")
    if error:
        raise KafkaError(error, f"offsets of {group}")
    return out


def describe_body(*groups):
    w = Writer().put("i", len(groups))
    for g in groups:
        w.string(g)
    return w.out


def describe(c, group):
    """(error, state, protocol type, protocol, [(member, client, host, metadata, assignment)])"""
    r = c.ask(DESCRIBE_GROUPS, 0, describe_body(group))

    def member():
        return r.string(), r.string(), r.string(), r.bytes(), r.bytes()

    def one():
        error, _, state, kind, protocol = r.get("h"), r.string(), r.string(), r.string(), r.string()
        return error, state, kind, protocol, r.array(member)
    return r.array(one)[0]


def operations(c, *groups):
    """{group: (error, operations as bits)}"""
    w = Writer().put("i", len(groups))
    for g in groups:
        w.string(g)
    r = c.ask(DESCRIBE_GROUPS, 3, w.put("?", True).out)
    r.get("i")

    def one():
        error, group = r.get("h"), r.string()
        for _ in range(3):
            r.string()
        r.array(lambda: (r.string(), r.string(), r.string(), r.bytes(), r.bytes()))
        return group, (error, r.get("i"))
    return dict(r.array(one))


def list_filtered(c, states=(), types=()):
    """{group: (protocol type, state, type)}"""
    w = Writer()
    for names in (states, types):
        w.carray(len(names))
        for name in names:
            w.cstring(name)
    r = c.ask(LIST_GROUPS, 5, w.tags().out)
    _, error = r.get("ih")
    if error:
        raise KafkaError(error, "groups")

    def one():
        found = r.cstring(), (r.cstring(), r.cstring(), r.cstring())
        r.tags()
        return found
    return dict(r.carray(one))


def list_groups(c):
    """(error, {group: protocol type})"""
    r = c.ask(LIST_GROUPS, 0, b"")
    error = r.get("h")
    return error, dict(r.array(lambda: (r.string(), r.string())))


def delete_groups(c, *groups):
    w = Writer().put("i", len(groups))
    for g in groups:
        w.string(g)
    r = c.ask(DELETE_GROUPS, 0, w.out)
    r.get("i")
    return dict(r.array(lambda: (r.string(), r.get("h"))))


def delete_offsets(c, group, offsets):
    """(error, {(topic, partition): error}); offsets: {topic: [partition, ...]}"""
    w = Writer().string(group).put("i", len(offsets))
    for topic, parts in offsets.items():
        w.string(topic).put("i", len(parts)).put(f"{len(parts)}i", *parts)
    r = c.ask(OFFSET_DELETE, 0, w.out)
    error, _ = r.get("hi")
    found = dict(r.array(lambda: (r.string(), dict(r.array(lambda: r.get("ih"))))))
    return error, {(topic, index): code for topic, parts in found.items() for index, code in parts.items()}


def new_heartbeat(c, group, topic):
    """The first of a member that speaks the protocol of KIP-848: (error, member, epoch, interval)"""
    w = Writer().cstring(group).cstring("").put("i", 0).cstring(None).cstring(None).put("i", 300000)
    w.carray(1).cstring(topic).cstring(None).carray(0).tags()
    r = c.ask(CONSUMER_GROUP_HEARTBEAT, 0, w.out)
    _, error = r.get("ih")
    r.cstring()
    return error, r.cstring(), *r.get("ii")


def new_describe(c, *groups):
    """{group: (error, state)}, of groups of that protocol"""
    w = Writer().carray(len(groups))
    for g in groups:
        w.cstring(g)
    r = c.ask(CONSUMER_GROUP_DESCRIBE, 0, w.put("?", True).tags().out)
    r.get("i")

    def one():
        error = r.get("h")
        r.cstring()
        group, state = r.cstring(), r.cstring()
        r.get("ii")
        r.cstring()
        assert r.uvarint() <= 1, "members"
        r.get("i")
        r.tags()
        return group, (error, state)
    return dict(r.carray(one))
