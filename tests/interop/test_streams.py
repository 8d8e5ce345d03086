"""Kafka Streams, from its published artifacts: it counts words (through a repartition topic, into a store with a
changelog) and joins two streams within a window, with several instances and standbys, while brokers are killed and
instances come and go. What comes out is compared with a model in here.

With processing.guarantee=at_least_once nothing may be missing; what was done since the last commit of a task that had
to be given up may be done again, so counts may be higher then. Without a fault they are exact.
"""
import collections
import os
import random
import struct
import threading
import time
import zlib

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.interop import programs
from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import wait_until
from tests.kit.member import Member

PARTITIONS = 4
TASKS = {f"{sub}_{p}" for sub in range(3) for p in range(PARTITIONS)}   # split lines, count words, join
WINDOW_MS = 100
STEP_MS = 10                    # between two events of one side, by their own time
WORDS = [f"word{i}" for i in range(60)]
KEYS = [f"key{i}" for i in range(8)]


class Feed:
    """Lines, and events of both sides of the join, at a steady pace until stopped; and what is to come of them."""

    def __init__(self, cluster, app, rate=100):
        self.app, self.rate, self.failed = app, rate, []
        self.words, self.sides = collections.Counter(), {"left": [], "right": []}   # sides: (time, key, value)
        self.chance, self.base_ms = random.Random(app), int(time.time() * 1000)
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, "acks": "all",
                                  "enable.idempotence": True, "message.timeout.ms": 120_000})

    def __enter__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()
        left = self.producer.flush(120)
        if exc == (None, None, None):
            assert left == 0 and not self.failed, (left, self.failed)

    def _send(self, topic, key, value, at_ms):
        self.producer.produce(f"{self.app}.{topic}", value, key, zlib.crc32(key.encode()) % PARTITIONS, timestamp=at_ms,
                              on_delivery=lambda e, m: self.failed.append(e) if e else None)

    def _run(self):
        while not self.stopped.wait(1 / self.rate):
            number = len(self.sides["left"])
            at_ms = self.base_ms + number * STEP_MS
            line = self.chance.choices(WORDS, k=4)
            self.words.update(line)
            self._send("lines", str(number), " ".join(line), at_ms)
            for side, events in self.sides.items():
                key, value = self.chance.choice(KEYS), f"{side[0]}{number}"
                events.append((at_ms, key, value))
                self._send(side, key, value, at_ms)
            self.producer.poll(0)

    def pairs(self):
        """(key, "l<i>+r<j>") of all that are close enough in time."""
        right = self.sides["right"]
        reach = WINDOW_MS // STEP_MS
        return {(key, f"{value}+{other}")
                for i, (_, key, value) in enumerate(self.sides["left"])
                for _, its, other in right[max(0, i - reach):i + reach + 1] if its == key}


class App:
    """The application: its topics, its instances, what it has said."""

    def __init__(self, cluster, version, folder):
        self.cluster, self.folder, self.all = cluster, folder, []
        self.program, self.name = programs.streams(version), f"streams-{os.urandom(3).hex()}"
        for topic in ("lines", "left", "right", "counts", "pairs"):
            ops.create_topic(cluster, f"{self.name}.{topic}", PARTITIONS, 3)
        self.words = f"{self.name}-words-repartition"
        self.changelog = f"{self.name}-counts-changelog"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for m in self.all:
            m.kill()

    def start(self):
        m = Member([*self.program, self.cluster.bootstrap, self.name, self.folder / f"state{len(self.all)}", WINDOW_MS])
        self.all.append(m)
        return m

    def wait_shared(self, members, timeout=60):
        """Until these have all tasks, none twice, each some."""
        def shared():
            for m in members:
                assert m.is_alive(), f"{m.argv} has ended: {m.errors}"
            owned = [t for m in members for t in m.owns]
            return set(owned) == TASKS and len(owned) == len(TASKS) and all(m.owns for m in members)
        wait_until(shared, timeout, f"tasks shared by {len(members)}")

    def wait_caught_up(self, timeout=60):
        """Until all input is committed as read, and then the words in between."""
        self._wait_committed([f"{self.name}.{t}" for t in ("lines", "left", "right")], timeout)
        self._wait_committed([self.words], timeout)

    def _wait_committed(self, topics, timeout):
        ends = {(t, p): ops.end_offset(self.cluster, t, p) for t in topics for p in range(PARTITIONS)}

        def behind():
            with raw.Connection(*self.cluster.address(ops.coordinator(self.cluster, self.name))) as c:
                done = raw_groups.fetch(c, self.name)
            return {tp: (done.get(tp, (0,))[0], end) for tp, end in ends.items() if done.get(tp, (0,))[0] < end}

        def caught_up():
            missing = behind()
            if missing:
                raise ValueError(f"committed and end: {missing}; {[(m.is_alive(), m.errors) for m in self.all]}")
            return True
        wait_until(caught_up, timeout, f"{topics} read to the end")

    def last_values(self, topic):
        last = {}
        for p in range(PARTITIONS):
            last.update({r.key.decode(): r.value for r in ops.read_partition(self.cluster, topic, p)})
        return last

    def counts(self):
        return {word: int(n) for word, n in self.last_values(f"{self.name}.counts").items()}

    def joined(self):
        return collections.Counter((r.key.decode(), r.value.decode()) for p in range(PARTITIONS)
                                   for r in ops.read_partition(self.cluster, f"{self.name}.pairs", p))


def check(app, feed, exact=False):
    """What the application has made of all that it was fed."""
    counts, pairs = app.counts(), app.joined()
    low = {w: (counts.get(w, 0), n) for w, n in feed.words.items() if counts.get(w, 0) < n}
    assert not low, f"counted too few: {low}"
    assert counts.keys() <= feed.words.keys()
    wanted = feed.pairs()
    assert not wanted - pairs.keys(), f"{len(wanted - pairs.keys())} of {len(wanted)} pairs are missing"
    assert not pairs.keys() - wanted, f"not pairs: {list(pairs.keys() - wanted)[:5]}"
    again = sum(counts.values()) - sum(feed.words.values()), sum(pairs.values()) - len(wanted)
    print(f"{sum(feed.words.values())} words, {len(wanted)} pairs; done again: {again[0]} words, {again[1]} pairs")
    if exact:
        assert again == (0, 0)
    # The store can be had back from its changelog: it ends in the same counts.
    stored = {w: struct.unpack(">q", v)[0] for w, v in app.last_values(app.changelog).items()}
    assert stored == counts


def settings_of(cluster, topics):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, t) for t in topics])
    return {r.name: {k: e.value for k, e in f.result(30).items()} for r, f in asked.items()}


def check_topics(app):
    """Those that the application has made for itself are as it wanted them, and words that it has counted are deleted."""
    made = [t for t in ops.metadata(app.cluster).topics if t.startswith(f"{app.name}-")]
    sides = [f"{app.name}-pairs-{which}-join-store-changelog" for which in ("this", "other")]
    assert set(made) == {app.words, app.changelog, *sides}
    settings = settings_of(app.cluster, made)
    assert {t: settings[t]["cleanup.policy"] for t in made} == {
        app.words: "delete", app.changelog: "compact", sides[0]: "delete", sides[1]: "delete"}
    assert settings[app.words]["retention.ms"] == "-1"
    for topic in made:
        parts = ops.partitions_of(app.cluster, topic)
        assert len(parts) == PARTITIONS and all(len(p.replicas) == 3 for p in parts.values())

    def purged():
        for p in range(PARTITIONS):
            _, _, first = ops.ask_leader(app.cluster, app.words, p, lambda c: c.list_offsets(
                app.words, {p: raw.EARLIEST}))[p]
            if first != ops.end_offset(app.cluster, app.words, p):
                raise ValueError(f"{app.words}-{p} begins at {first}")
        return True
    wait_until(purged, 30, "words purged once counted")


@pytest.mark.parametrize("version", ["3.9.2", pytest.param("4.4.0", marks=pytest.mark.long)])
def test_a_broker_dies_and_instances_come_and_go(whole, version, tmp_path):
    with App(whole, version, tmp_path) as app:
        first, second = app.start(), app.start()
        app.wait_shared([first, second])
        with Feed(whole, app.name) as feed:
            wait_until(lambda: len(feed.words) == len(WORDS), 30, "every word said")
        app.wait_caught_up()
        check(app, feed, exact=True)
        with feed:
            killed = ops.coordinator(whole, app.name)
            whole.kill(killed)
            at = time.monotonic()
            app.wait_caught_up(20)      # before the 30 s after which clients repeat what was not answered
            print(f"caught up {time.monotonic() - at:.1f} s after the kill of {killed}")
            third = app.start()
            app.wait_shared([first, second, third])
            whole.start(killed)
            first.leave()
            app.wait_shared([second, third])
        app.wait_caught_up()
        check(app, feed)
        check_topics(app)


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.9.2", "4.4.0"])
def test_many_faults(whole, version, tmp_path):
    """Brokers are killed and instances crash, leave and come, one thing after the other and more than one at a time."""
    with App(whole, version, tmp_path) as app:
        chance, live = random.Random(version), [app.start(), app.start()]
        app.wait_shared(live)
        with Feed(whole, app.name) as feed:
            for round_ in range(8):
                killed = chance.choice(whole.brokers)
                whole.kill(killed)
                at = time.monotonic()
                goes = live.pop(0) if round_ % 2 else None
                if goes:
                    chance.choice([goes.kill, goes.leave])()
                    live.append(app.start())
                # Of an instance that crashed the session has to end, and threads of Streams join and join again until
                # its tasks have moved; that tells nothing about what clients were not answered, broker or not.
                app.wait_caught_up(90 if goes else 25)
                print(f"round {round_}: caught up after {time.monotonic() - at:.1f} s")
                whole.start(killed)
                ops.wait_full_isr(whole)
                app.wait_shared(live, 120)
        app.wait_caught_up(120)
        check(app, feed)
        check_topics(app)
