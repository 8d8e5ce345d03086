"""Several log directories: where replicas are put, what DescribeLogDirs says of them."""
import os
from collections import Counter

import pytest

from tests.kit import batch, ops, raw

DIRS = ("d0", "d1", "d2")


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("dirs", settings={"log.dirs": ",".join(DIRS)})
    yield made
    made.close()


def dirs_of(cluster, broker):
    return [cluster.data(broker).parent / d for d in DIRS]


def described(cluster, broker, topics=None):
    with raw.Connection(cluster.host, cluster.port(broker)) as c:
        return c.describe_log_dirs(topics)


def test_new_replicas_go_where_the_fewest_are(whole, topic):
    topic(partitions=7)
    topic(partitions=5, replication=2)
    for b in whole.brokers:
        on_disk = Counter({d.name: sum(1 for p in d.iterdir() if p.is_dir()) for d in dirs_of(whole, b)})
        assert max(on_disk.values()) - min(on_disk.values()) <= 1, on_disk
        said = described(whole, b)
        assert {d: len(found.replicas) for d, found in said.items()} == \
            {str(d): on_disk[d.name] for d in dirs_of(whole, b)}


def test_what_is_asked_for_is_described(whole, topic):
    name, other = topic(partitions=3), topic(partitions=3)
    for p in range(3):
        ops.ask_leader(whole, name, p, lambda c, p=p: c.produce(name, {p: batch.build([b"x" * 1000])}))
    ops.wait_full_isr(whole)
    ops.assert_replicas_identical(whole, name)
    for b in whole.brokers:
        said = described(whole, b, {name: [0, 2], "nobody": [0]})
        assert set(said) == {str(d) for d in dirs_of(whole, b)}
        found = {(r.topic, r.index): r for d in said.values() for r in d.replicas}
        assert set(found) == {(name, 0), (name, 2)}
        for path, d in said.items():
            assert d.error == 0
            space = os.statvfs(path)
            assert d.total_bytes == space.f_blocks * space.f_frsize
            assert abs(d.usable_bytes - space.f_bavail * space.f_frsize) < 1 << 30
            for r in d.replicas:
                size = sum(f.stat().st_size for f in os.scandir(f"{path}/{r.topic}-{r.index}")
                           if f.name.endswith(".log"))
                assert (r.size, r.lag, r.is_future) == (size, 0, False)
        everything = {r.topic for d in described(whole, b).values() for r in d.replicas}
        assert {name, other} <= everything
