"""A real controller on a real ZooKeeper, driven by brokers that are only words on the control stream."""
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kit.cluster import ROOT, PortBase, wait_until
from tests.kit.control import Closed, Stream
from tests.kit.kafka import zookeeper_jar
from tests.kit.stalls import Stalls
from tests.kit.zk import Zk

pytestmark = pytest.mark.moldau_only
CREATE_TOPICS, DELETE_TOPICS = 19, 20
FLAVOUR = os.environ.get("FLAVOUR", "plain")
CONTROLLER = ROOT / "build" / ("bin" if FLAVOUR == "plain" else f"{FLAVOUR}/bin") / "moldau-controller"


class House:
    """ZooKeeper and some controllers."""

    def __init__(self, folder):
        self.dir, self.ports, self.processes = folder, PortBase(), {}
        self.zk_port = self.ports.base + 81
        (folder / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={folder}/zk\nclientPort={self.zk_port}\nclientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\nminSessionTimeout=500\nmaxSessionTimeout=60000\n"
            "4lw.commands.whitelist=srvr\n")
        self._start("z1", ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
                           f"{zookeeper_jar()}:/usr/share/java/slf4j-simple.jar",
                           "org.apache.zookeeper.server.quorum.QuorumPeerMain", folder / "zoo.cfg"])
        self.zk = wait_until(lambda: Zk("127.0.0.1", self.zk_port), 30, "ZooKeeper serving")

    def _start(self, name, command):
        with open(self.dir / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log, start_new_session=True)

    def port(self, index):
        return self.ports.base + 50 + index

    def start(self, index, **settings):
        settings = {"controller.id": 3000 + index, "controller.listener": f"127.0.0.1:{self.port(index)}",
                    "zookeeper.connect": f"127.0.0.1:{self.zk_port}",
                    "metrics.listener": f"127.0.0.1:{self.ports.base + 150 + index}",
                    "default.replication.factor": 1, **settings}
        path = self.dir / f"c{index}.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        self._start(f"c{index}", [CONTROLLER, path])

    def status(self, index):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.base + 150 + index}/status", timeout=5) as page:
            return json.load(page)

    def wait_active(self, index, seconds=15):
        return wait_until(lambda: self.status(index)["active"], seconds, f"c{index} active")

    def said(self, index):
        return (self.dir / f"c{index}.log").read_text()

    def end(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(20)

    def close(self):
        codes = {name: self.end(name) for name in list(self.processes) if name != "z1"}
        self.zk.close()
        self.end("z1", signal.SIGKILL)
        self.ports.release()
        assert not any(codes.values()), codes


class Broker:
    """Registered in ZooKeeper, on the stream, with heartbeats; acknowledges everything."""

    def __init__(self, house, broker, outer=None, says=True):
        """outer: the port that clients are sent to, before the own; says: which of them brokers use."""
        self.house, self.id, self.number = house, broker, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.incarnation = os.urandom(16)
        wait_until(lambda: house.zk.get("/brokers/ids"), 15, "/brokers/ids")
        path = f"/brokers/ids/{broker}"
        self.zk = Zk("127.0.0.1", house.zk_port)
        self.port = self.listener.getsockname()[1]
        self.zk.create(path, json.dumps({
            "features": {}, "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT", "OUTER": "PLAINTEXT"},
            "endpoints": ([f"OUTER://127.0.0.1:{outer}"] if outer else []) + [f"PLAINTEXT://127.0.0.1:{self.port}"],
            "jmx_port": -1, "port": self.port, "host": "127.0.0.1", "version": 5, "timestamp": "1", "moldau": "test",
            **({"moldau_inter_broker": "PLAINTEXT"} if says else {})}, separators=(",", ":")), True)
        self.epoch = self.zk.get(path)[1]
        self.fresh, self.stream, self.beats = True, None, None
        self.topics = {}

    def hello(self, **more):
        return {"protocol": 1, "cluster_id": json.loads(self.house.zk.get("/cluster/id")[0])["id"],
                "broker_id": self.id, "broker_epoch": self.epoch, "incarnation": self.incarnation,
                "fresh": self.fresh, "clean_stop": True, "controller_epoch": 0, "version": 0,
                "endpoints": [{"listener": "PLAINTEXT", "protocol": "PLAINTEXT", "host": "127.0.0.1",
                               "port": self.port}], **more}

    def connect(self, index):
        """To the controller, until the whole image has come; returns the Welcome."""
        def welcomed():
            stream = Stream("127.0.0.1", self.house.port(index))
            stream.send(hello=self.hello())
            kind, message = stream.next()
            if kind == "welcome":
                return stream, message
            stream.close()
            raise AssertionError(message)
        self.stream, welcome = wait_until(welcomed, 15, "a welcome")
        self.beats = Stream("127.0.0.1", self.house.port(index))
        self.beats.send(hello=self.hello(heartbeats=True))
        assert self.beats.next()[0] == "welcome"
        threading.Thread(target=self._beat, args=(self.beats,), daemon=True).start()
        self.fresh, last = False, False
        while not last:
            image = self.stream.expect("image")
            last = image.get("last")
            self._apply(image)
        self._ack(image)
        return welcome

    def _beat(self, beats):
        number = 0
        try:
            while True:
                number += 1
                beats.send(heartbeat={"broker_epoch": self.epoch, "number": number})
                kind, answer = beats.next()
                if kind == "goodbye":
                    return
                assert answer["number"] == number
                time.sleep(0.1)
        except (OSError, ValueError):
            pass

    def _apply(self, message):
        for topic in message["topics"]:
            parts = self.topics.setdefault(topic["name"], {})
            parts.update({p["index"]: p for p in topic["partitions"]})

    def _ack(self, message):
        self.stream.send(ack={"controller_epoch": message["controller_epoch"], "version": message["version"]})

    def admin(self, key, version, body, seconds=10.0):
        """The answer's frame; images and deltas that come meanwhile are applied and acknowledged."""
        self.number += 1
        self.stream.send(admin_request={"number": self.number, "api_key": key, "api_version": version,
                                        "principal": "User:ANONYMOUS", "body": body})
        return self.until("admin_answer", seconds)

    def until(self, kind, seconds=10.0):
        end = time.monotonic() + seconds
        while True:
            got, message = self.stream.next(max(0.01, end - time.monotonic()))
            if got in ("image", "delta"):
                self._apply(message)
                if got == "delta" or message.get("last"):
                    self._ack(message)
            if got == kind:
                return message
            assert got != "goodbye", message

    def die(self):
        """As a killed process: its kernel closes everything, ZooKeeper hears nothing."""
        for sock in (self.listener, self.stream, self.beats):
            sock.close()

    def close(self):
        self.die()
        self.zk.close()


def create_topic(name, partitions, replication=1, configs=()):
    """A CreateTopics v2 body."""
    def text(value):
        return struct.pack(">h", len(value)) + value.encode()
    body = struct.pack(">i", 1) + text(name) + struct.pack(">ih", partitions, replication) + struct.pack(">i", 0)
    body += struct.pack(">i", len(configs)) + b"".join(text(k) + text(v) for k, v in configs)
    return body + struct.pack(">i?", 10000, False)


def first_topic_error(answer):
    """Of a CreateTopics v2 response."""
    body = answer["body"]
    size, = struct.unpack_from(">h", body, 8)
    return struct.unpack_from(">h", body, 10 + size)[0]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def test_hello_image_create_delta_ack_answer(house):
    house.start(1)
    house.wait_active(1)
    broker = Broker(house, 7)
    welcome = broker.connect(1)
    assert welcome["controller_id"] == 3001 and welcome["controller_epoch"] >= 1
    answer = broker.admin(CREATE_TOPICS, 2, create_topic("words", 3, configs=[("retention.ms", "5000")]))
    assert answer.get("error", 0) == 0 and first_topic_error(answer) == 0, answer
    assert sorted(broker.topics["words"]) == [0, 1, 2], "the delta came before the answer"
    assert all(p["leader"] == 7 and p["isr"] == [7] for p in broker.topics["words"].values())
    state = json.loads(house.zk.get("/brokers/topics/words/partitions/1/state")[0])
    assert state["leader"] == 7 and state["isr"] == [7] and state["controller_epoch"] == welcome["controller_epoch"]
    assert json.loads(house.zk.get("/config/topics/words")[0])["config"] == {"retention.ms": "5000"}
    assert first_topic_error(broker.admin(CREATE_TOPICS, 2, create_topic("words", 1))) == 36
    assert broker.admin(CREATE_TOPICS, 2, b"\0\0")["error"] == 42
    assert broker.admin(CREATE_TOPICS, 99, b"")["error"] == 35
    status = house.status(1)
    assert status["topics"] == 1 and status["partitions"] == 3 and status["leaderless"] == 0
    assert status["brokers"] == [{"id": 7, "state": "live", "epoch": broker.epoch}]
    broker.close()


def test_who_is_refused_is_told_why_and_said(house):
    house.start(1)
    house.wait_active(1)
    broker = Broker(house, 7)
    for change, reason in (({"protocol": 9}, 5), ({"cluster_id": "other"}, 2), ({"incarnation": b"x"}, 5)):
        with Stream("127.0.0.1", house.port(1)) as stream:
            stream.send(hello=broker.hello(**change))
            kind, message = stream.next()
            assert (kind, message["reason"]) == ("goodbye", reason)
            with pytest.raises(Closed):
                stream.next()
    with socket.create_connection(("127.0.0.1", house.port(1)), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(1) == b""
    wait_until(lambda: "refused a connection" in house.said(1) and "frame that is too long" in house.said(1), 10,
               "both are in the log")
    broker.zk.close()


def test_a_dead_broker_is_fenced_and_another_leads(house):
    house.start(1)
    house.wait_active(1)
    one, two = Broker(house, 1), Broker(house, 2)
    one.connect(1)
    two.connect(1)
    wait_until(lambda: all(b["state"] == "live" for b in house.status(1)["brokers"]), 10, "both live")
    assert first_topic_error(one.admin(CREATE_TOPICS, 2, create_topic("t", 8, 2))) == 0
    assert any(p["leader"] == 2 for p in one.topics["t"].values())
    at = time.monotonic()
    with Stalls() as stalls:
        two.die()
        while any(p["leader"] != 1 for p in one.topics["t"].values()):
            one.until("delta")
    took = time.monotonic() - at
    assert took < 1 + stalls.slack(), took
    assert all(p["isr"] == [1] for p in one.topics["t"].values())
    one.close()
    two.zk.close()


@pytest.mark.parametrize("says", [True, False], ids=["says where", "says nothing"])
def test_where_clients_are_sent_may_refuse(house, says):
    """A broker whose stream ends is asked where brokers find it: there it still listens."""
    house.start(1)
    house.wait_active(1)
    one, two = Broker(house, 1), Broker(house, 2, outer=house.ports.base + 120, says=says)
    one.connect(1)
    two.connect(1)
    wait_until(lambda: all(b["state"] == "live" for b in house.status(1)["brokers"]), 10, "both live")
    two.stream.close()
    two.beats.close()
    said = wait_until(lambda: [s for s in house.said(1).splitlines() if "broker is dead" in s], 10, "it is missed")
    assert "broker=2" in said[0] and "it was silent too long" in said[0], said
    one.close()
    two.close()


def test_a_standby_takes_over_at_once_and_the_second_start_too(house):
    house.start(1)
    house.wait_active(1)
    house.start(2)
    wait_until(lambda: house.status(2)["holder"] == 3001, 15, "the standby knows the active one")
    broker = Broker(house, 7)
    first = broker.connect(1)["controller_epoch"]
    with Stream("127.0.0.1", house.port(2)) as stream:
        stream.send(hello=broker.hello())
        kind, message = stream.next()
        assert (kind, message["reason"], message["active_id"]) == ("goodbye", 1, 3001)
        assert message["active_port"] == house.port(1)
    house.processes["c1"].kill()
    at = time.monotonic()
    with Stalls() as stalls:
        house.processes.pop("c1").wait()
        welcome = broker.connect(2)
    took = time.monotonic() - at
    assert welcome["controller_epoch"] == first + 1
    assert took < 1.5 + stalls.slack(), took
    assert first_topic_error(broker.admin(CREATE_TOPICS, 2, create_topic("after", 1))) == 0
    # Its own earlier process holds the seat: no wait for that session either.
    house.processes["c2"].kill()
    house.processes.pop("c2").wait()
    house.start(2)
    welcome = broker.connect(2)
    assert welcome["controller_epoch"] == first + 2
    assert broker.topics["after"][0]["leader"] == 7
    broker.close()


def test_a_clean_stop_hands_over_and_says_goodbye(house):
    house.start(1)
    house.wait_active(1)
    house.start(2)
    wait_until(lambda: house.status(2)["holder"] == 3001, 15, "the standby knows the active one")
    broker = Broker(house, 7)
    broker.connect(1)
    assert house.end("c1") == 0
    with pytest.raises(AssertionError, match="reason"):
        broker.until("goodbye-never")
    broker.connect(2)
    assert house.zk.children("/controllers/ids") == ["3002"]
    broker.close()


def test_brokers_leave_a_controller_that_hangs(new_cluster):
    cluster = new_cluster("hung", brokers=1, controllers=2, settings={"zookeeper.session.timeout.ms": 4000})
    hung = wait_until(cluster.active_controller, 30, "an active controller")
    cluster.pause(hung)
    try:
        wait_until(lambda: create(cluster, "after-the-hang"), 15, "a topic created through the other controller")
    finally:
        cluster.resume(hung)
    cluster.close()


def create(cluster, topic):
    """True once a topic could be created; a try is short, for a hung controller answers nothing."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    future = admin.create_topics([NewTopic(topic, 1, 1)], operation_timeout=1, request_timeout=2)[topic]
    try:
        future.result(5)
    except KafkaException as e:
        if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise AssertionError(e) from e
    return True
