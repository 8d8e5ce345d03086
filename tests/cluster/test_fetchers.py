"""num.replica.fetchers: partitions are spread over so many connections to each leader, as Kafka spreads them, and
the number changes under load without a restart; everybody stays in sync."""
import re
import time
import urllib.request

import pytest

from tests.cluster.test_failures import assert_nothing_lost
from tests.kit import ops, raw, settings
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
KEY, PARTITIONS = "num.replica.fetchers", 12


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("fetchers", settings={KEY: 2})
    yield made
    made.close()


def loop_of(topic, partition, n):
    """Kafka's Utils.abs(31 * topic.hashCode() + partition) % n."""
    value = 0
    for letter in topic:
        value = (31 * value + ord(letter)) & 0xffffffff
    value = (31 * value + partition) & 0xffffffff
    return (0 if value == 1 << 31 else min(value, (1 << 32) - value)) % n


def spread(cluster, broker):
    """{(leader, loop): partitions}, of those that have any."""
    port = cluster.ports.base + 100 + int(broker)
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    found = re.findall(r'^moldau_fetcher_partitions\{leader="(\d+)",loop="(\d+)"\} (\d+)$', text, re.M)
    return {(int(leader), int(loop)): int(count) for leader, loop, count in found if int(count)}


def wanted(cluster, broker, n):
    out = {}
    for name, parts in ops.metadata(cluster, None).topics.items():
        for p in parts.values():
            if int(broker) in p.replicas and p.leader != int(broker):
                key = p.leader, loop_of(name, p.index, n)
                out[key] = out.get(key, 0) + 1
    return out


def wait_spread(cluster, numbers):
    for broker, n in numbers.items():
        wait_until(lambda b=broker, n=n: spread(cluster, b) == wanted(cluster, b, n), 30,
                   f"{n} fetchers of each leader at broker {broker}")


def set_for_all(cluster, n):
    with raw.Connection(*cluster.address("1")) as c:
        settings.alter_broker_by(c, "", {KEY: n})


def test_partitions_are_spread_over_the_loops_of_their_leader(whole, topic):
    topic(partitions=PARTITIONS)
    wait_spread(whole, dict.fromkeys(whole.brokers, 2))
    for broker in whole.brokers:
        assert len(spread(whole, broker)) == 4              # two of each of the two others


def test_their_number_changes_under_load_and_everybody_stays_in_sync(whole, topic):
    name = topic(partitions=PARTITIONS)
    pids = {b: whole.pid(b) for b in whole.brokers}
    epochs = {i: p.epoch for i, p in ops.partitions_of(whole, name).items()}
    load = RawLoad(whole.addresses, name, range(PARTITIONS), rate=1200, size=1000, idempotent=True).start()
    wait_until(lambda: all(load.acked[p] for p in load.partitions), 30, "load is running")
    began = time.monotonic()
    try:
        for of_all, of_first in (("4", None), ("4", "8"), ("2", "4"), ("1", None)):
            settings.alter_broker(whole, "1", {KEY: of_first})
            set_for_all(whole, of_all)
            wait_spread(whole, {b: int(of_first if b == "1" and of_first else of_all) for b in whole.brokers})
            load.wait_acked_past(time.monotonic(), 30)
            short = {i: p.isr for i, p in ops.partitions_of(whole, name).items() if len(p.isr) != 3}
            assert not short, f"not in sync with {of_all} fetchers: {short}"
    finally:
        set_for_all(whole, None)
    wait_spread(whole, dict.fromkeys(whole.brokers, 2))     # what the file says
    ended = time.monotonic()
    load.wait_acked_past(ended, 30)
    load.stop()
    for p in range(PARTITIONS):
        assert load.longest_gap(p, began, ended) < 0.5 + load.slack(began, ended)
    assert {i: p.epoch for i, p in ops.partitions_of(whole, name).items()} == epochs
    assert {b: whole.pid(b) for b in whole.brokers} == pids
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)
