"""Brokers and controllers die under load: nothing acknowledged is lost, writing goes on, replicas agree."""
import os
import shutil
import threading
import time

import pytest
from confluent_kafka import Producer

from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

PARTITIONS = 6
UNKNOWN_TOPIC_OR_PARTITION = 3


def assert_nothing_lost(cluster, load):
    for p in load.partitions:
        records = ops.read_partition(cluster, load.topic, p)
        ops.assert_dense(records, f"{load.topic}-{p}")
        load.check(p, records)


def run_load(cluster, name, **options):
    load = RawLoad(cluster.addresses, name, range(PARTITIONS), rate=600, **options)
    load.start()
    wait_until(lambda: all(load.acked[p] for p in load.partitions), 30, "load is running")
    return load


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_kill_9_under_load_loses_nothing_and_the_broker_rejoins(whole, topic, idempotent):
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name, idempotent=idempotent)
    victim = str(ops.partitions_of(whole, name)[0].leader)
    at = whole.kill_at_once(victim)
    load.wait_acked_past(at, 60)
    whole.wait_gone(victim)
    gap = max(load.first_ack_of_write_after(p, at) for p in load.partitions)
    if whole.target == "moldau":
        assert gap < 2.0 + load.slack(at, at + gap), f"writing went on only after {gap:.2f} s"
    moved = ops.partitions_of(whole, name)
    assert all(int(victim) not in p.isr and p.leader != int(victim) for p in moved.values()), \
        f"{victim} is still shown: {moved}"
    whole.start(victim)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_the_dead_are_listed_while_clients_move_away(whole, topic):
    """librdkafka drops a broker that is not listed together with the partitions that it is moving away from it."""
    name = topic(partitions=PARTITIONS)
    victim = str(ops.partitions_of(whole, name)[0].leader)
    whole.kill(victim)
    moved = wait_until(lambda: all(p.leader not in (-1, int(victim)) for p in ops.partitions_of(whole, name).values())
                       and ops.metadata(whole, [name]), 60, "new leaders")
    if whole.target == "moldau":    # in Kafka nothing moves before the session has expired
        assert int(victim) in moved.brokers
    whole.start(victim)
    ops.wait_full_isr(whole)


def test_every_broker_is_killed_in_turn(whole, topic):
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name, idempotent=True)
    for victim in whole.brokers:
        whole.kill(victim)
        load.wait_acked_past(time.monotonic(), 60)
        whole.start(victim)
        ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_the_active_controller_is_killed_together_with_a_broker(whole, topic):
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    controller = wait_until(whole.active_controller, 30, "an active controller")
    victim = next(b for b in whole.brokers if b != controller)
    nodes = [controller] if controller == victim else [controller, victim]
    if whole.target == "kafka":
        nodes = [controller]        # there the controller is a broker; two of three would leave too few
    at = whole.kill_at_once(*nodes)
    load.wait_acked_past(at, 60)
    if whole.target == "moldau":
        gap = max(load.first_ack_of_write_after(p, at) for p in load.partitions)
        assert gap < 2.0 + load.slack(at, at + gap), f"writing went on only after {gap:.2f} s"
        wait_until(lambda: whole.active_controller() not in (None, controller), 30, "another active controller")
    for node in nodes:
        whole.wait_gone(node)
        whole.start(node)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)


def test_the_controller_alone_dies_and_nobody_notices(whole, topic):
    if whole.target == "kafka":
        pytest.skip("a Kafka controller in ZooKeeper mode is a broker")
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    controller = wait_until(whole.active_controller, 30, "an active controller")
    at = whole.kill_at_once(controller)
    wait_until(lambda: whole.active_controller() not in (None, controller), 30, "another active controller")
    load.wait_acked_past(time.monotonic(), 10)
    now = time.monotonic()
    assert max(load.longest_gap(p, at, now) for p in load.partitions) < 0.5 + load.slack(at, now)
    ops.create_topic(whole, name + ".after", 3, 3)
    whole.start(controller)
    load.stop()
    assert not load.errors, dict(load.errors)
    assert_nothing_lost(whole, load)


def test_a_controlled_shutdown_is_not_felt(whole, topic):
    """SIGTERM: no error reaches an application, no gap above 200 ms."""
    name = topic(partitions=PARTITIONS)
    failed, stop = [], threading.Event()
    p = Producer({"bootstrap.servers": whole.bootstrap, "acks": "all", "linger.ms": 0,
                  "message.timeout.ms": 30000})
    sent = [0]

    def application():
        while not stop.is_set():
            p.produce(name, f"a{sent[0]}", partition=sent[0] % PARTITIONS,
                      on_delivery=lambda err, _: failed.append(err) if err else None)
            sent[0] += 1
            p.poll(0.005)
    app = threading.Thread(target=application)
    app.start()
    try:
        load = run_load(whole, name)
        victim = str(ops.partitions_of(whole, name)[0].leader)
        at = whole.terminate_at_once(victim)
        whole.wait_gone(victim, 60)
        gone = time.monotonic()
        load.wait_acked_past(gone + 0.5, 30)
        gaps = {q: load.longest_gap(q, at, gone + 0.5) for q in load.partitions}
        left = ops.partitions_of(whole, name)
        whole.start(victim)
        ops.wait_full_isr(whole)
        load.stop()
    finally:
        stop.set()
        app.join()
    assert p.flush(30) == 0 and not failed, failed[:3]
    assert all(q.leader != int(victim) and int(victim) not in q.isr for q in left.values())
    for q in load.partitions:
        records = ops.read_partition(whole, name, q)
        ours = [r for r in records if not r.value.startswith(b"a")]
        load.check(q, ours)
    if whole.target == "moldau":
        slack = load.slack(at, gone + 0.5)
        assert max(gaps.values()) < 0.2 + slack, ({q: round(g, 3) for q, g in gaps.items()}, round(slack, 3))


def test_a_paused_broker_is_left_behind_and_comes_back(whole, topic):
    """SIGSTOP: hung, its connections open. Writing goes on without it, and it cuts what nobody else has."""
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    victim = str(ops.partitions_of(whole, name)[0].leader)
    at = time.monotonic()
    whole.pause(victim)
    try:
        load.wait_acked_past(at, 90)
    finally:
        whole.resume(victim)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_all_brokers_are_killed_and_come_back_with_everything(whole, topic):
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    wait_until(lambda: load.total_acked() > 500, 30, "some load")
    load.stop()
    whole.kill_at_once(*whole.brokers)
    for b in whole.brokers:
        whole.wait_gone(b)
    for b in reversed(whole.brokers):
        whole.start(b)
    whole.wait_serving()
    ops.wait_full_isr(whole)
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


@pytest.mark.moldau_only
def test_without_controllers_and_without_zookeeper_data_is_served(whole, topic):
    """Both stop changes, never the data; afterwards changes are possible again."""
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    for node in ("c1", "c2", "z1"):
        whole.kill(node)
        load.wait_acked_past(time.monotonic() + 1, 20)
    assert not load.errors, dict(load.errors)
    for node in ("z1", "c1", "c2"):
        whole.start(node)
    wait_until(whole.active_controller, 60, "an active controller")
    ops.create_topic(whole, name + ".after", 3, 3)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)


@pytest.mark.moldau_only
def test_a_broker_started_without_zookeeper_does_not_wait_for_its_last_session(whole):
    """The session of the process before is ended when ZooKeeper is there again, not waited for (18 s)."""
    victim = whole.brokers[0]
    whole.kill(victim)
    whole.kill("z1")
    known = len(whole.log(victim))
    starting = threading.Thread(target=whole.start, args=(victim,))
    starting.start()
    wait_until(lambda: "zookeeper client:" in whole.log(victim)[known:], 30, "it looks for ZooKeeper")
    whole.start("z1")
    since = time.monotonic()
    starting.join(60)
    whole.wait_serving()
    took = time.monotonic() - since
    assert took < 10, f"{took:.1f} s to serve again"
    ops.wait_full_isr(whole)


@pytest.mark.moldau_only
def test_everybody_paused_for_a_moment_costs_nothing(whole, topic):
    """Brokers stopped and continued together, as a suspended machine does it: nobody is lost, nothing is."""
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    for b in whole.brokers:
        whole.pause(b)
    for b in whole.brokers:
        whole.resume(b)
    load.wait_acked_past(time.monotonic(), 30)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def test_a_broker_with_an_empty_disk_is_filled_again(whole, topic):
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name, idempotent=True)
    victim = str(ops.partitions_of(whole, name)[0].leader)
    whole.kill(victim)
    shutil.rmtree(whole.data(victim))
    whole.start(victim)
    ops.wait_full_isr(whole)
    load.wait_acked_past(time.monotonic(), 30)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


def written_and_all_killed(whole, topic):
    """(a topic, the load that wrote to it, the broker that led its first partition); nobody has left an ISR."""
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    load.stop()
    victim = str(ops.partitions_of(whole, name)[0].leader)
    for node in ("c1", "c2", *whole.brokers):   # the controllers first: they would write that one has left
        whole.kill(node)
    return name, load, victim


def wait_left_out(whole, name, victim):
    wait_until(lambda: all(int(victim) not in (p.leader, *p.isr)
                           for p in ops.partitions_of(whole, name).values()), 60, f"{victim} is out of every ISR")


def assert_whole_with_the_others(whole, name, load, victim):
    for b in whole.brokers:
        if b != victim:
            whole.start(b)
    ops.wait_full_isr(whole)
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)


@pytest.mark.moldau_only                # Kafka elects whoever of the ISR comes first, with whatever it has
def test_an_empty_disk_is_not_taken_for_a_copy(whole, topic):
    """Everybody was down, and the first to come back does so on an empty disk: it waits for who has the records."""
    name, load, victim = written_and_all_killed(whole, topic)
    shutil.rmtree(whole.data(victim))
    for node in ("c1", "c2", victim):
        whole.start(node)
    wait_left_out(whole, name, victim)
    assert_whole_with_the_others(whole, name, load, victim)


@pytest.mark.moldau_only
@pytest.mark.parametrize("restarted", [False, True], ids=["process", "machine"])
def test_a_machine_that_restarted_is_not_taken_for_a_copy(whole, topic, restarted):
    """Everybody was killed, and one comes back first. As a new process on the same machine it has all it wrote, and
    leads. When the machine itself was restarted, what was not flushed may be gone (here half of each log is), and it
    waits for the others."""
    name, load, victim = written_and_all_killed(whole, topic)
    if restarted:
        (whole.data(victim) / "moldau.boot").write_text("00000000-0000-4000-8000-000000000000")
        for p in range(PARTITIONS):
            for path in (whole.data(victim) / f"{name}-{p}").glob("*.log"):
                os.truncate(path, path.stat().st_size // 2)
    for node in ("c1", "c2", victim):
        whole.start(node)
    if restarted:
        wait_left_out(whole, name, victim)
    else:
        wait_until(lambda: all(p.leader == int(victim) for p in ops.partitions_of(whole, name).values()), 60,
                   f"{victim} leads")
    assert_whole_with_the_others(whole, name, load, victim)


@pytest.mark.moldau_only                # Kafka's deletion waits for the broker that is away
def test_a_topic_made_anew_under_its_name_has_nothing_of_the_old_one(whole, topic):
    """A broker that was away deletes its files of the old one before it stores the new one's."""
    name = topic(partitions=PARTITIONS)
    load = run_load(whole, name)
    wait_until(lambda: load.total_acked() > 200, 30, "some load")
    load.stop()
    victim = str(ops.partitions_of(whole, name)[0].leader)
    whole.kill(victim)
    ops.ask_controller(whole, lambda c: c.delete_topic(name))
    ops.create_topic(whole, name, PARTITIONS, replication=2)
    load = run_load(whole, name)
    whole.start(victim)
    ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    whole.stop(next(b for b in whole.brokers if b != victim))
    ops.create_topic(whole, name + ".after", 3, 2)
    assert_nothing_lost(whole, load)


@pytest.mark.moldau_only                # of whom every broker takes a deletion
def test_who_waits_for_a_replica_of_a_topic_that_is_deleted_is_told(whole, topic):
    """A follower hangs, so that acks=all has to wait; the deletion does not."""
    name = topic(partitions=1)
    part = ops.partitions_of(whole, name)[0]
    hangs = next(b for b in whole.brokers if int(b) != part.leader)
    with raw.Connection(*whole.address(str(part.leader))) as c, raw.Connection(*whole.address(str(part.leader))) as c2:
        whole.pause(hangs)
        try:
            c.send(raw.PRODUCE, 9, raw.produce_body(name, {0: batch.build([b"x"])}))
            wait_until(lambda: c2.epoch_end(name, 0, part.epoch)[3] == 1, 30, "it is appended")
            c2.delete_topic(name)
            answer, = raw.produce_answer(raw.open_answer(raw.PRODUCE, 9, c.receive()))[0].values()
            assert answer.error == UNKNOWN_TOPIC_OR_PARTITION
        finally:
            whole.resume(hangs)
    ops.wait_full_isr(whole)


@pytest.mark.moldau_only                # whose controllers can be killed without a broker
def test_a_broker_stops_cleanly_although_a_produce_waits(whole, topic):
    """A follower hangs and no controller is there to shrink the ISR: what waits for it must not spoil a stop."""
    name = topic(partitions=1)
    part = ops.partitions_of(whole, name)[0]
    leader = str(part.leader)
    hangs = next(b for b in whole.brokers if b != leader)
    for controller in ("c1", "c2"):
        whole.kill(controller)
    with raw.Connection(*whole.address(leader)) as c, raw.Connection(*whole.address(leader)) as c2:
        whole.pause(hangs)
        try:
            c.send(raw.PRODUCE, 9, raw.produce_body(name, {0: batch.build([b"x"])}, timeout_ms=300000))
            wait_until(lambda: c2.epoch_end(name, 0, part.epoch)[3] == 1, 30, "it is appended")
            whole.terminate_at_once(leader)
            whole.wait_gone(leader, 60)
        finally:
            whole.resume(hangs)
    assert (whole.data(leader) / ".kafka_cleanshutdown").exists(), whole.log(leader)[-2000:]
    for node in ("c1", "c2", leader):
        whole.start(node)
    whole.wait_serving()
    ops.wait_full_isr(whole)


@pytest.mark.moldau_only
def test_a_batch_from_before_a_restart_is_known_again(whole, topic):
    """A snapshot has the last batch of each producer only; Kafka refuses the ones before (45), which ends librdkafka."""
    name = topic(partitions=1, replication=1)
    sent = []

    def write(c):
        pid, epoch = c.init_producer_id()
        sent[:] = [batch.build([b"%d" % i], producer_id=pid, producer_epoch=epoch, sequence=i) for i in range(4)]
        assert [c.produce(name, {0: b})[0].base_offset for b in sent[:3]] == [0, 1, 2]

    def repeat(c):
        got = [c.produce(name, {0: b})[0] for b in sent]
        assert [(p.error, p.base_offset) for p in got] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    ops.ask_leader(whole, name, 0, write)
    leader = str(ops.partitions_of(whole, name)[0].leader)
    whole.stop(leader)
    whole.start(leader)
    whole.wait_serving()
    ops.ask_leader(whole, name, 0, repeat)
    assert [r.value for r in ops.read_partition(whole, name, 0)] == [b"0", b"1", b"2", b"3"]
