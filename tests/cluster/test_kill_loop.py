"""A broker alone with its disk is killed again and again under load: its logs are all that remembers.

Three kills; fifty with --long. Segments, indexes and the bound on what a start has to read are small, so that
kills fall into rolls, background syncs and retention. Nothing acknowledged is lost, no record is there twice
(the producer is idempotent, and its state comes out of the logs), and the log says of no damage.
"""
import random
import re
import time

import pytest

from tests.kit import ops
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

PARTITIONS = 6
SETTINGS = {"log.segment.bytes": 1_000_000, "log.index.interval.bytes": 512, "log.roll.ms": 600_000,
            "log.flush.offset.checkpoint.interval.ms": 200, "log.unflushed.max.bytes": 2_000_000}


@pytest.mark.moldau_only
def test_a_broker_killed_again_and_again_loses_nothing(new_cluster, pytestconfig):
    kills = 50 if pytestconfig.getoption("long") else 3
    cluster = new_cluster("kills", brokers=1, controllers=1, settings=SETTINGS)
    try:
        ops.create_topic(cluster, "loop", PARTITIONS, 1)
        load = RawLoad(cluster.addresses, "loop", range(PARTITIONS), rate=1500, size=1000, acks=1, idempotent=True)
        load.start()
        wait_until(lambda: all(load.acked[p] for p in load.partitions), 30, "load is running")
        for _ in range(kills):
            time.sleep(random.uniform(0.05, 1.0))      # the moment is the point, not a state to wait for
            at = cluster.kill_at_once("1")
            cluster.wait_gone("1")
            cluster.start("1")
            load.wait_acked_past(at, 60)
        load.stop()
        for p in load.partitions:
            records = ops.read_partition(cluster, "loop", p)
            ops.assert_dense(records, f"loop-{p}")
            load.check(p, records)
        said = cluster.log("1")
        assert not re.search(r"damaged|records are gone|set aside|not served", said), said[-3000:]
        assert len(re.findall(r"loading logs dir=\S+ clean_stop=no", said)) >= kills
        assert not cluster.crashed()
    finally:
        cluster.close()
