"""Fixtures of the tests that run real processes.

pytest tests/cluster tests/interop [--target moldau|kafka] [--long]
"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kit.cluster import exit_on_signals, make_cluster   # noqa: E402
from tests.kit.kafka import Missing                           # noqa: E402
from tests.kit.ops import create_topic, wait_full_isr         # noqa: E402
from tests.kit.zk import Zk                                   # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--target", choices=["moldau", "kafka"], default=os.environ.get("TARGET", "moldau"),
                     help="run against moldau (default) or Apache Kafka 3.9; also $TARGET")
    parser.addoption("--long", action="store_true", default=bool(os.environ.get("LONG")),
                     help="also the tests marked long; also $LONG")
    parser.addoption("--frames", type=int, default=50_000, help="fuzzed frames of tests/cluster/test_garbage.py")
    parser.addoption("--chaos-seed", type=int, help="repeats one history of tests/chaos/test_chaos.py")
    parser.addoption("--chaos-steps", type=int, default=30, help="things that happen in such a history")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; only with --long")
    config.addinivalue_line("markers", "moldau_only: a promise that Kafka does not make")
    exit_on_signals()


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("long"):
            item.add_marker(pytest.mark.skip(reason="long: needs --long"))
        if item.get_closest_marker("moldau_only") and config.getoption("target") != "moldau":
            item.add_marker(pytest.mark.skip(reason="a promise of moldau's only"))


@pytest.fixture(scope="session")
def target(request):
    return request.config.getoption("target")


@pytest.fixture(scope="session")
def new_cluster(target):
    """Makes clusters that are closed at the end of the session at the latest."""
    made = []

    def make(name="test", env=None, **up):
        cluster = make_cluster(target, name)
        cluster.env = env or {}
        made.append(cluster)
        try:
            return cluster.up(**up)
        except Missing as e:
            pytest.skip(f"{target}: {e}")
    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="module")
def cluster(new_cluster):
    """Three brokers, default settings, for the tests of one file; whole again before each of its tests."""
    made = new_cluster("module")
    yield made
    made.close()


@pytest.fixture
def whole(cluster):
    """The cluster with every node up and every ISR full; a node that dies by itself fails the test."""
    for node in dict.fromkeys([*cluster.brokers, *getattr(cluster, "nodes", ())]):
        if not cluster.is_up(node):
            cluster.start(node)
    cluster.wait_serving()
    wait_full_isr(cluster)
    yield cluster
    assert not cluster.crashed(), f"{cluster.crashed()} died\n{cluster.log_tails()}"


@pytest.fixture
def zk(whole):
    """A session with the cluster's ZooKeeper."""
    address = whole.status()["zookeeper"] if whole.target == "moldau" else "%s:%d" % whole.address("z1")
    host, port = address.split(",")[0].split(":")
    with Zk(host, int(port.split("/")[0])) as client:
        yield client


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.when == "call" and report.failed and cluster:
        report.sections.append(("ends of the cluster's logs", cluster.log_tails()))


@pytest.fixture
def topic(whole, request):
    """Makes topics named after the test, and waits until every broker knows their leaders."""
    counter = [0]

    def make(partitions=3, replication=3, configs=None, assignments=None):
        counter[0] += 1
        name = f"{request.node.name.split('[')[0]}.{counter[0]}.{os.urandom(2).hex()}"
        create_topic(whole, name, partitions, replication, configs, assignments)
        return name
    return make
