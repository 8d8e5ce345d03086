"""Kafka Connect in distributed mode, from its published artifacts: two workers with file sources and a file sink, while a
broker dies and workers go and come back. Every line of every file arrives, in the order of its file; what follows the
last commit of who was interrupted may arrive again.
"""
import json
import os
import threading
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from tests.interop import programs
from tests.kit import ops
from tests.kit.cluster import wait_until
from tests.kit.member import Member

VERSIONS = ["3.9.2", "4.3.1"]     # the newest of each line whose file connectors are published
SOURCES = 3
FIRST_PORT = 180            # of the cluster's ports


class Worker(Member):
    def __init__(self, cluster, program, name, folder, number):
        self.port = cluster.ports.base + FIRST_PORT + number
        settings = {
            "bootstrap.servers": cluster.bootstrap, "group.id": name, "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "plugin.discovery": "service_load",
            **{f"{what}.storage.topic": f"{name}-{what}" for what in ("config", "offset", "status")},
            **{f"{what}.storage.replication.factor": 3 for what in ("config", "offset", "status")},
            "offset.storage.partitions": 5, "status.storage.partitions": 2,
            "offset.flush.interval.ms": 500, "consumer.auto.offset.reset": "earliest",
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 500,
        }
        path = folder / f"worker{number}.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        super().__init__([*program, path])

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read()
        except urllib.error.HTTPError as e:     # 409 while workers rebalance
            raise ValueError(f"{method} {path}: {e.code} {e.read().decode()}") from e
        return json.loads(text) if text else None

    def insist(self, path, method="GET", body=None):
        return wait_until(lambda: (self.ask(path, method, body),), 60, f"{method} {path}")[0]


class Connect:
    """Two workers, sources file-0.. into one topic each, and a sink of all topics into one file."""

    def __init__(self, cluster, version, folder):
        self.cluster, self.folder, self.all = cluster, folder, []
        self.program, self.name = programs.connect(version), f"connect-{os.urandom(3).hex()}"
        self.topics = [f"{self.name}.{i}" for i in range(SOURCES)]
        self.files = [folder / f"file-{i}" for i in range(SOURCES)]
        self.out = folder / "out"
        self.written = [0] * SOURCES
        for topic in self.topics:
            ops.create_topic(cluster, topic, 1, 3)
        self.sink = f"sink-{self.name}"     # it reads as a group of that name, which other tests must not know
        self.names = [*(f"source-{i}" for i in range(SOURCES)), self.sink]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for w in self.all:
            w.kill()

    def start(self, number):
        w = Worker(self.cluster, self.program, self.name, self.folder, number)
        self.all.append(w)
        return w

    def configure(self, worker):
        for i, topic in enumerate(self.topics):
            worker.insist(f"/connectors/source-{i}/config", "PUT", {
                "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": 1,
                "file": str(self.files[i]), "topic": topic})
        worker.insist(f"/connectors/{self.sink}/config", "PUT", {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": 1,
            "file": str(self.out), "topics": ",".join(self.topics)})

    def wait_running(self, *workers):
        """Until all connectors and their tasks run, and each of the workers has some and nobody else any."""
        where = {f"127.0.0.1:{w.port}" for w in workers}

        def running():
            found = set()
            for w in workers:
                assert w.is_alive(), f"{w.argv} has ended: {w.errors}"
                for name in self.names:
                    status = w.ask(f"/connectors/{name}/status")
                    parts = [status["connector"], *status["tasks"]]
                    if len(parts) != 2 or any(p["state"] != "RUNNING" for p in parts):
                        raise ValueError(status)
                    found |= {p["worker_id"] for p in parts}
            if found != where:
                raise ValueError(f"they run at {found}")
            return True
        wait_until(running, 60, f"all connectors running at {where}", every=0.2)

    def arrived(self):
        """Per source the numbers of its lines, in the order in which the sink has written them."""
        numbers = [[] for _ in self.files]
        if self.out.exists():
            for line in self.out.read_text().split("\n")[:-1]:
                source, number = line.split()
                numbers[int(source)].append(int(number))
        return numbers

    def wait_arrived(self, timeout=60):
        wanted = list(self.written)
        wait_until(lambda: all(len(set(got)) >= n for got, n in zip(self.arrived(), wanted)), timeout,
                   f"{wanted} lines arrived", every=0.2)


class Lines:
    """Appends lines to all files, at a steady pace until stopped."""

    def __init__(self, connect, rate=100):
        self.connect, self.rate = connect, rate

    def __enter__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()

    def _run(self):
        files = [open(path, "a", encoding="ascii") for path in self.connect.files]
        while not self.stopped.wait(1 / self.rate):
            for i, file in enumerate(files):
                file.write(f"{i} {self.connect.written[i]}\n")
                file.flush()
                self.connect.written[i] += 1
        for file in files:
            file.close()


def assert_at_least_once(numbers, count, where):
    """0 .. count-1 without a gap; now and then it goes back some way, and on from there."""
    last = -1
    for n in numbers:
        assert n <= last + 1, f"{where}: {n} follows {last}"
        last = n
    assert set(numbers) == set(range(count)), f"{where}: {len(set(numbers))} of {count}"
    return len(numbers) - count


def check(connect):
    again = [0, 0]
    for i, topic in enumerate(connect.topics):
        values = [r.value.decode() for r in ops.read_partition(connect.cluster, topic, 0)]
        assert all(v.startswith(f"{i} ") for v in values)
        again[0] += assert_at_least_once([int(v.split()[1]) for v in values], connect.written[i], topic)
    for i, numbers in enumerate(connect.arrived()):
        again[1] += assert_at_least_once(numbers, connect.written[i], f"source {i} at the sink")
    print(f"{connect.written} lines; again: {again[0]} in the topics, {again[1]} at the sink")
    return again


def check_offsets(connect, worker):
    """How far everybody has come, as Connect keeps it itself (sources) and as a consumer group (the sink)."""
    def known():
        for i, path in enumerate(connect.files):
            found = worker.ask(f"/connectors/source-{i}/offsets")["offsets"]
            if [o["offset"]["position"] for o in found] != [path.stat().st_size]:
                raise ValueError(found)
        found = {o["partition"]["kafka_topic"]: o["offset"]["kafka_offset"]
                 for o in worker.ask(f"/connectors/{connect.sink}/offsets")["offsets"]}
        ends = {t: ops.end_offset(connect.cluster, t, 0) for t in connect.topics}
        if found != ends:
            raise ValueError((found, ends))
        return True
    wait_until(known, 30, "offsets of all connectors at the end", every=0.2)


def check_topics(connect):
    wanted = {f"{connect.name}-config": 1, f"{connect.name}-offset": 5, f"{connect.name}-status": 2}
    admin = AdminClient({"bootstrap.servers": connect.cluster.bootstrap})
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, t) for t in wanted])
    for resource, future in asked.items():
        assert future.result(30)["cleanup.policy"].value == "compact", resource
    for topic, count in wanted.items():
        parts = ops.partitions_of(connect.cluster, topic)
        assert len(parts) == count and all(len(p.replicas) == 3 for p in parts.values())


def read_all_again(connect, worker):
    """The sink forgets its offsets (its group is deleted for that) and writes everything once more."""
    before = len(sum(connect.arrived(), []))
    worker.insist(f"/connectors/{connect.sink}/stop", "PUT")
    wait_until(lambda: not worker.ask(f"/connectors/{connect.sink}/status")["tasks"], 30, "the sink stopped")
    worker.insist(f"/connectors/{connect.sink}/offsets", "DELETE")
    worker.insist(f"/connectors/{connect.sink}/resume", "PUT")
    stored = sum(ops.end_offset(connect.cluster, t, 0) for t in connect.topics)
    wait_until(lambda: len(sum(connect.arrived(), [])) >= before + stored, 30, "everything written again")


@pytest.mark.parametrize("version", [VERSIONS[0], *(pytest.param(v, marks=pytest.mark.long) for v in VERSIONS[1:])])
def test_lines_arrive_while_a_broker_and_a_worker_go(whole, version, tmp_path):
    with Connect(whole, version, tmp_path) as connect:
        workers = [connect.start(0), connect.start(1)]
        with Lines(connect):
            connect.configure(workers[0])
            connect.wait_running(*workers)
            connect.wait_arrived()
            killed = ops.coordinator(whole, connect.name)
            whole.kill(killed)
            at = time.monotonic()
            connect.wait_arrived()
            print(f"all lines of before arrived {time.monotonic() - at:.1f} s after the kill of {killed}")
            whole.start(killed)
            workers[0].leave()
            connect.wait_running(workers[1])
            workers[0] = connect.start(0)
            connect.wait_running(*workers)
        connect.wait_arrived()
        check(connect)
        check_offsets(connect, workers[0])
        check_topics(connect)
        read_all_again(connect, workers[1])


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_many_faults(whole, version, tmp_path):
    """Brokers and workers are killed in turns and together, more than once."""
    with Connect(whole, version, tmp_path) as connect:
        workers = [connect.start(0), connect.start(1)]
        with Lines(connect):
            connect.configure(workers[0])
            for round_ in range(6):
                connect.wait_running(*workers)
                killed = whole.brokers[round_ % 3]
                whole.kill(killed)
                if round_ % 2:
                    workers[round_ // 2 % 2].kill()
                    workers[round_ // 2 % 2] = connect.start(round_ // 2 % 2)
                connect.wait_arrived(120)
                whole.start(killed)
                ops.wait_full_isr(whole)
            connect.wait_running(*workers)
        connect.wait_arrived(120)
        check(connect)
        check_offsets(connect, workers[0])
