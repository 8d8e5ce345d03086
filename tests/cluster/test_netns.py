"""A network per node: what `scripts/cluster cut`, `slow` and `mend` do to a running cluster, and that nothing stays."""
import socket
import subprocess
import time

import pytest

from tests.kit import ops, raw
from tests.kit.cluster import wait_until
from tests.kit.netns import refusal
from tests.kit.rawload import RawLoad
from tests.kit.stalls import Stalls

pytestmark = [pytest.mark.moldau_only, pytest.mark.skipif(refusal() is not None, reason=f"SKIPPED: {refusal()}")]


@pytest.fixture(scope="module")
def apart(new_cluster):
    made = new_cluster("netns", netns=True)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def mended(apart):
    yield
    apart.mend()
    apart.wait_serving()


class Without:
    """The cluster as somebody sees it who does not ask one of the brokers."""

    def __init__(self, cluster, without):
        self.addresses = [cluster.address(b) for b in cluster.brokers if b != without]


def reachable(cluster, node):
    try:
        socket.create_connection(cluster.address(node), 0.3).close()
        return True
    except OSError:
        return False


def test_a_node_that_is_cut_off_is_reached_by_nobody_until_it_is_mended(apart):
    assert reachable(apart, "1")
    apart.cut("1")
    assert not reachable(apart, "1") and reachable(apart, "2")
    apart.mend()
    assert reachable(apart, "1")


def test_a_slow_link_is_late_by_what_was_asked(apart):
    def connect():
        began = time.monotonic()
        socket.create_connection(apart.address("2"), 5).close()
        return time.monotonic() - began

    apart.slow("2", "clients", delay_ms=60)
    assert connect() >= 0.12                       # there and back
    apart.mend()
    assert min(connect() for _ in range(5)) < 0.06


def test_writing_goes_on_while_a_broker_hears_nobody_and_the_cut_one_acknowledges_nothing(apart):
    name = "cut-off"
    ops.create_topic(apart, name, 3, 3)
    lost = "1"
    load = RawLoad(apart.addresses, name, range(3), rate=200).start()
    wait_until(lambda: load.total_acked() > 100, 30, "a running load")
    led = [p.index for p in ops.partitions_of(apart, name).values() if str(p.leader) == lost]
    assert led
    at = time.monotonic()
    apart.cut(lost, *(n for n in apart.nodes if n != lost))     # clients still reach it
    load.wait_acked_past(at + 1.5, 30)                          # elsewhere: the cut one is out of every ISR
    parts = ops.metadata(Without(apart, lost), [name]).topics[name]
    assert all(p.leader != int(lost) for p in parts.values())
    apart.mend()
    load.wait_acked_past(time.monotonic(), 30)
    load.stop()
    ops.wait_full_isr(apart)
    for p in range(3):
        load.check(p, ops.read_partition(apart, name, p))
    ops.assert_replicas_identical(apart, name)


def test_writing_goes_on_soon_after_a_cut_however_long_it_was(apart):
    """While a leader and a follower do not hear one another, acks=all waits for the follower, for the controller hears
    both. TCP would send what was lost again only after twice as long each time: nobody may wait for that."""
    name = "parted"
    ops.create_topic(apart, name, 1, assignments=[[1, 2]])
    load = RawLoad(apart.addresses, name, [0], rate=100).start()
    wait_until(lambda: load.total_acked() > 50, 30, "a running load")
    apart.cut("1", "2")
    time.sleep(9)                                  # the fault itself: TCP's next try comes 3 to 6 s from here
    mended = time.monotonic()
    apart.mend()
    load.wait_acked_past(mended, 30)
    took = load.first_ack_of_write_after(0, mended)
    load.stop()
    assert took < 2 + load.slack(mended, time.monotonic())


def test_a_broker_is_back_soon_after_a_cut_from_its_controllers_however_long_it_was(apart):
    """The stream's last words are lost in the cut, on both sides: TCP would bring them only seconds after its end."""
    name = "unheard"
    ops.create_topic(apart, name, 1, assignments=[[1, 2]])
    apart.cut("1", *(n for n in apart.nodes if n[0] == "c"))
    time.sleep(9)                                  # the fault itself: TCP's next try comes 3 to 6 s from here
    assert ops.metadata(Without(apart, "1"), [name]).topics[name][0].isr == [2]
    with Stalls() as stalls:
        mended = time.monotonic()
        apart.mend()
        ops.wait_full_isr(apart)
        took = time.monotonic() - mended
    assert took < 3 + stalls.slack(), took


def test_one_way_loses_what_the_node_says_and_nothing_else(apart):
    apart.cut("3", "clients", one_way=True)
    assert not reachable(apart, "3")               # its answers are lost
    with raw.Connection(*apart.address("1")) as c:
        assert 3 in c.metadata([]).brokers         # between nodes all is well


def test_nothing_is_left_when_it_is_down(new_cluster):
    made = new_cluster("netns-gone", netns=True, brokers=1, controllers=1)
    address = made.address("1")[0].rpartition(".")[0] + ".1"
    assert address in addresses()
    made.close()
    assert address not in addresses()


def addresses():
    return subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
