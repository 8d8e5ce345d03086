"""Nonsense on the control stream, from a broker that is known: the controller goes on, and says what it refuses."""
import os
import random
import struct

import pytest

from tests.cluster.test_control_stream import (CREATE_TOPICS, Broker, House, create_topic,
                                               first_topic_error)
from tests.kit.control import SCHEMA, Stream, encode, kind_of

pytestmark = pytest.mark.moldau_only
UPWARDS = ["hello", "heartbeat", "ack", "alter_partition", "shutdown_wanted", "pid_block_wanted", "dir_failed",
           "admin_request"]
TYPES = {"varint": int, "string": str, "bytes": bytes}
SESSIONS, FRAMES = 100, 50


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def nonsense(rand, message, known, depth=0):
    """A message of that kind with some of its fields; what it names often exists."""
    out = {}
    for name, (_, field_type, repeated, _) in SCHEMA[message].items():
        if rand.random() < 0.15:
            continue
        kind = kind_of(message, field_type)

        def value():
            if name in known and isinstance(known[name], TYPES.get(kind, ())) and rand.random() < 0.8:
                return known[name]
            if kind == "varint":
                return rand.choice([0, 1, 2, 7, rand.getrandbits(31), rand.getrandbits(63), -1, -rand.getrandbits(40)])
            if kind in ("bytes", "string"):
                data = rand.randbytes(rand.choice([0, 1, 15, 16, 17, 300]))
                return data.hex() if kind == "string" else data
            return nonsense(rand, kind, known, depth + 1) if depth < 4 else {}
        out[name] = [value() for _ in range(rand.choice([0, 1, 3]))] if repeated else value()
    return out


def test_nonsense_from_a_known_broker(house):
    seed = random.randrange(1 << 32)
    rand = random.Random(seed)
    print(f"seed {seed}")
    house.start(1)
    house.wait_active(1)
    good, bad = Broker(house, 7), Broker(house, 8)
    good.connect(1)
    assert first_topic_error(good.admin(CREATE_TOPICS, 2, create_topic("words", 3))) == 0
    known = {"broker_epoch": bad.epoch, "broker_id": 8, "incarnation": bad.incarnation, "protocol": 1,
             "controller_epoch": 1, "partition": 0, "cluster_id": bad.hello()["cluster_id"],
             "body": create_topic("words", 1)}
    for _ in range(SESSIONS):
        with Stream("127.0.0.1", house.port(1)) as stream:
            try:
                if rand.random() < 0.9:
                    stream.send(hello=bad.hello(fresh=rand.random() < 0.5))
                for _ in range(FRAMES):
                    kind = rand.choice(UPWARDS[1:] if rand.random() < 0.98 else UPWARDS)
                    data = bytearray(encode("Frame", {kind: nonsense(rand, SCHEMA["Frame"][kind][1], known)}))
                    if rand.random() < 0.1 and data:
                        data[rand.randrange(len(data))] = rand.getrandbits(8)
                    stream.sock.sendall(struct.pack(">I", len(data)) + data)
            except OSError:
                pass                    # it was sent away
    assert house.processes["c1"].poll() is None, house.said(1)[-3000:]
    answer = good.admin(CREATE_TOPICS, 2, create_topic("after" + os.urandom(2).hex(), 3))
    assert first_topic_error(answer) == 0
    assert house.status(1)["active"]
    assert len(house.said(1).splitlines()) < SESSIONS * FRAMES, "what is refused is said, but not each time"
    for broker in (bad, good):
        broker.listener.close()
        broker.zk.close()
