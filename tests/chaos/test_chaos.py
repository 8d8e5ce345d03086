"""Whatever ends, hangs and comes back, in any order and under load: nothing acknowledged is lost.

A history is a seed: a chain of things done to nodes, with topics made and deleted beside two loads. At the
end everything is started again; then every acknowledged record is read back and the replicas are compared.
--chaos-seed N repeats one history, --chaos-steps N makes it longer.
"""
import os
import random
import time

import pytest

from tests.kit import ops, raw
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

PARTITIONS = 4


class Chaos:
    def __init__(self, cluster, seed):
        self.cluster, self.rand = cluster, random.Random(seed)
        self.down, self.paused, self.made, self.said = set(), set(), [], []
        self.nodes = [*cluster.brokers, *(n for n in getattr(cluster, "nodes", ()) if n[0] in "cz")]

    def away(self):
        return self.down | self.paused

    def end(self, node, how):
        self.cluster.ended.add(node)
        getattr(self.cluster, how)(node)
        (self.paused if how == "pause" else self.down).add(node)

    def back(self, node):
        if node in self.paused:
            self.cluster.resume(node)
        else:
            self.cluster.start(node)
        self.cluster.ended.discard(node)
        self.down.discard(node)
        self.paused.discard(node)

    def step(self):
        doing = self.rand.choice(["kill", "kill", "kill", "pause", "stop", "back", "back", "back", "topic", "rest"])
        if doing in ("kill", "pause", "stop"):
            node = self.rand.choice(self.nodes)
            if node in self.away() or len(self.away()) > 2:
                doing, node = "rest", ""
            else:
                self.end(node, doing)
        elif doing == "back" and self.away():
            node = self.rand.choice(sorted(self.away()))
            self.back(node)
        elif doing == "topic":
            node = self.topic()
        else:
            doing, node = "rest", ""
        self.said.append(f"{doing} {node}".strip())
        time.sleep(self.rand.choice([0, 0.05, 0.3, 1.0, 2.5]))

    def topic(self):
        """Made or deleted, as far as anybody is there to do it."""
        up = [b for b in self.cluster.brokers if b not in self.away()]
        if not up:
            return "nobody"
        try:
            with raw.Connection(*self.cluster.address(self.rand.choice(up)), timeout=2) as c:
                if self.made and self.rand.random() < 0.5:
                    name = self.made.pop()
                    c.delete_topic(name)
                    return f"delete {name}"
                name = f"made-{len(self.said)}-{os.urandom(2).hex()}"
                c.create_topic(name, 3, 2)
                self.made.append(name)
                return f"create {name}"
        except (OSError, EOFError, raw.KafkaError) as e:
            return f"not done: {e}"

    def everything_back(self):
        for node in sorted(self.away(), key=lambda n: n[0] != "z"):
            self.back(node)


@pytest.fixture
def history(request):
    seed = request.config.getoption("chaos_seed")
    return seed if seed is not None else random.randrange(1 << 32)


@pytest.mark.long
@pytest.mark.moldau_only
def test_chaos_loses_nothing_that_was_acknowledged(whole, topic, history, request):
    names = [topic(partitions=PARTITIONS), topic(partitions=PARTITIONS)]
    loads = [RawLoad(whole.addresses, n, range(PARTITIONS), rate=300, idempotent=i == 1).start()
             for i, n in enumerate(names)]
    wait_until(lambda: all(load.total_acked() for load in loads), 30, "loads are running")
    chaos = Chaos(whole, history)
    try:
        for _ in range(request.config.getoption("chaos_steps")):
            chaos.step()
            for load in loads:
                assert not load.fatal, load.fatal
        chaos.everything_back()
        now = time.monotonic()
        for load in loads:
            load.wait_acked_past(now, 90)
            load.stop(90)
        ops.wait_full_isr(whole)
        for load in loads:
            for p in load.partitions:
                records = ops.read_partition(whole, load.topic, p)
                ops.assert_dense(records, f"{load.topic}-{p}")
                load.check(p, records)
            ops.assert_replicas_identical(whole, load.topic)
    except BaseException:
        print(f"seed {history}: " + "; ".join(chaos.said))
        chaos.everything_back()
        raise
