"""A group under everything at once: consumers join, leave, are killed and paused, while the coordinator is killed and
restarted and records keep coming. In the end every record was processed, none skipped, whatever was committed is
behind it, the group is stable again soon after the last fault, and what its coordinators have written says that in no
generation a partition had two owners, and that no two of them made the same generation."""
import os
import random
import signal
import sys
import threading
import time

import pytest
from confluent_kafka import Producer

from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import ROOT, wait_until
from tests.kit.member import Member, assert_in_order, skipped, wait_processed, wait_shared

PARTITIONS = 12
SESSION_S = 6
MEMBER = ROOT / "tests" / "interop" / "member.py"


class Stream:
    """Numbered records, spread over the partitions, until stopped; all of them acknowledged by all replicas."""

    def __init__(self, cluster, topic, rate):
        self.topic, self.rate, self.sent, self.failed = topic, rate, 0, []
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, "acks": "all",
                                  "message.timeout.ms": 120_000})
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.stopped.wait(1 / self.rate):
            self.producer.produce(self.topic, str(self.sent), partition=self.sent % PARTITIONS,
                                  on_delivery=lambda e, m: self.failed.append(e) if e else None)
            self.sent += 1
            self.producer.poll(0)

    def stop(self):
        self.stopped.set()
        self.thread.join()
        assert self.producer.flush(120) == 0 and not self.failed, self.failed


class Crowd:
    """Members, of which some are there, some paused, some gone."""

    def __init__(self, cluster, group, topic, most, chance):
        self.start_one = lambda: Member([sys.executable, MEMBER, "confluent", cluster.bootstrap, group, topic,
                                         "cooperative-sticky"])
        self.chance, self.most, self.all, self.paused = chance, most, [], []

    def live(self):
        return [m for m in self.all if m.is_alive() and m not in self.paused]

    def join(self):
        if len(self.live()) < self.most:
            self.all.append(self.start_one())

    def leave(self):
        if len(self.live()) > 1:
            self.chance.choice(self.live()).leave()

    def crash(self):
        if len(self.live()) > 1:
            self.chance.choice(self.live()).kill()

    def pause(self):
        if len(self.live()) > 1:
            m = self.chance.choice(self.live())
            m.signal(signal.SIGSTOP)
            self.paused.append(m)

    def resume(self):
        for m in self.paused:
            m.signal(signal.SIGCONT)
        self.paused = []

    def end(self):
        self.resume()
        for m in self.all:
            m.kill()


def committed(cluster, group):
    def ask():
        with raw.Connection(*cluster.address(ops.coordinator(cluster, group))) as c:
            return {p: v[0] for (_, p), v in raw_groups.fetch(c, group).items()}
    return wait_until(ask, 60, f"offsets of {group}")


def wait_stable(cluster, group, members, timeout):
    """Until so many are in the group, and it is at work."""
    def stable():
        with raw.Connection(*cluster.address(ops.coordinator(cluster, group))) as c:
            _, state, _, _, known = raw_groups.describe(c, group)
        if (state, len(known)) != ("Stable", members):
            raise ValueError(f"{state} with {len(known)} of {members}")
        return True
    wait_until(stable, timeout, f"{group} stable")


def assigned(data):
    """The partitions of an assignment of consumers, of the one topic."""
    if not data:
        return frozenset()
    r = raw.Reader(data)
    r.get("h")
    return frozenset(p for parts in r.array(lambda: (r.string(), r.array(lambda: r.get("i")))) for p in parts[1])


def generations(cluster, group):
    """[(generation, {member: partitions})] as they stand in the log, one after the other."""
    wanted, found = raw.Writer().put("h", 2).string(group).out, []
    for p in ops.partitions_of(cluster, "__consumer_offsets"):
        for record in ops.read_partition(cluster, "__consumer_offsets", p):
            if record.key != wanted or record.value is None:
                continue
            r = raw.Reader(record.value)
            assert r.get("h") == 3
            r.string()
            generation, _, _, _ = r.get("i"), r.string(), r.string(), r.get("q")

            def member():
                ident = [r.string() for _ in range(4)][0]
                r.get("ii")
                r.bytes()
                return ident, assigned(r.bytes())
            found.append((generation, dict(r.array(member))))
    return found


def check_generations(cluster, group):
    made, last = {}, 0
    for generation, members in generations(cluster, group):
        assert generation >= last, f"generation {generation} follows {last}"
        assert made.setdefault(generation, members) == members, f"generation {generation} was made twice"
        owned = sorted(p for parts in members.values() for p in parts)
        assert len(owned) == len(set(owned)), f"generation {generation}: {members}"
        last = generation
    return len(made)


def history(cluster, seed, most, seconds):
    chance = random.Random(seed)
    topic = f"chaos-{os.urandom(3).hex()}"
    group = f"g-{topic}"
    ops.create_topic(cluster, topic, PARTITIONS, 3)
    stream, crowd = Stream(cluster, topic, 200), Crowd(cluster, group, topic, most, chance)
    down = None
    try:
        for _ in range(most // 2):
            crowd.join()
        wait_shared(crowd.live(), PARTITIONS)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            what = chance.choice([crowd.join, crowd.join, crowd.leave, crowd.crash, crowd.pause, crowd.resume, "broker"])
            if what != "broker":
                what()
            elif down:
                cluster.start(down)
                ops.wait_full_isr(cluster)
                down = None
            else:
                down = ops.coordinator(cluster, group)
                cluster.kill(down)
            time.sleep(chance.uniform(0.2, 2))
        if down:
            cluster.start(down)
        crowd.resume()
        crowd.join()
        at = time.monotonic()
        wait_stable(cluster, group, len(crowd.live()), timeout=3 * SESSION_S + 20)
        print(f"seed {seed}: stable {time.monotonic() - at:.1f} s after the last fault, {stream.sent} records, "
              f"{len(crowd.all)} members in all")
        wait_shared(crowd.live(), PARTITIONS, timeout=3 * SESSION_S + 20)
        stream.stop()
        wait_processed(crowd.all, [str(i) for i in range(stream.sent)], timeout=60)
        ends = {p: ops.end_offset(cluster, topic, p) for p in range(PARTITIONS)}
        assert not skipped(crowd.all, ends)
        assert_in_order(crowd.all)
        wait_until(lambda: committed(cluster, group) == ends, 30, "everything committed")
        print(f"{check_generations(cluster, group)} generations")
    finally:
        stream.stopped.set()
        crowd.end()


@pytest.mark.parametrize("seed", [1])
def test_a_small_crowd(whole, seed):
    history(whole, seed, 6, 20)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_twenty_members(whole, seed):
    history(whole, seed, 20, 120)
