"""A broker that may open few files: it says so, keeps to its bound, serves all its logs, and a crowd of connections
does not cost it a log directory."""
import contextlib
import os
import socket
from pathlib import Path

import pytest

from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until

pytestmark = pytest.mark.moldau_only
LIMIT, LOGS, CROWD = 400, 250, 500


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("files", brokers=1, controllers=1)
    yield made
    made.close()


def start_with_few_files(cluster, broker, folder):
    script = folder / "cluster"
    script.write_text(f'#!/bin/sh\nulimit -n {LIMIT}\nexec {cluster.script} "$@"\n')
    script.chmod(0o755)
    before, cluster.script = cluster.script, script
    try:
        cluster.start(broker)
    finally:
        cluster.script = before
    cluster.wait_serving()


def open_files(cluster, broker):
    """Of its logs, and all."""
    logs = every = 0
    for fd in Path(f"/proc/{cluster.pid(broker)}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            logs += os.readlink(fd).endswith((".log", ".index", ".timeindex"))
            every += 1
    return logs, every


def produce_everywhere(c, name, round_):
    for p in range(0, LOGS, 50):
        answers = c.produce(name, {i: batch.build([b"%d of round %d" % (i, round_)]) for i in range(p, p + 50)})
        assert [answers[i].error for i in range(p, p + 50)] == [0] * 50


def test_few_open_files_are_said_and_kept_to(whole, topic, tmp_path):
    cluster = whole
    broker = cluster.brokers[0]
    name = topic(partitions=LOGS, replication=1, configs={"segment.bytes": "300"})
    cluster.stop(broker)
    start_with_few_files(cluster, broker, tmp_path)
    said = cluster.log(broker)
    assert f"few open files are allowed, raise the hard limit (ulimit -Hn) limit={LIMIT}" in said
    assert "fewer open files are allowed than there are logs" in said
    with raw.Connection(*cluster.address(broker)) as c:
        for round_ in range(4):                                 # each begins segments
            produce_everywhere(c, name, round_)
            logs, every = open_files(cluster, broker)
            assert logs <= LIMIT // 2 + 8 and every < LIMIT
        crowd = [socket.create_connection(cluster.address(broker)) for _ in range(CROWD)]
        try:
            wait_until(lambda: "no open files are left for more connections" in cluster.log(broker), 30,
                       "the broker says that others wait")
            for round_ in range(4, 8):
                produce_everywhere(c, name, round_)
            assert open_files(cluster, broker)[1] < LIMIT
        finally:
            for s in crowd:
                s.close()
    assert ops.end_offset(cluster, name, LOGS - 1) == 8         # by a new connection
    with raw.Connection(*cluster.address(broker)) as c:
        assert [d.error for d in c.describe_log_dirs().values()] == [0]
    assert "is offline" not in cluster.log(broker)
