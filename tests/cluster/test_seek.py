"""How brokers find the next controller: while one is about to take over, nobody waits for long before he asks again.

The successor is only words: it says that it is not active, and, as a real one that has heard no later, that the dead
one is. A broker that believed it, or that waited a little longer each time, was late by most of a second.
"""
import json
import socket
import struct
import threading
import time

import pytest

from tests.kit.control import decode, encode
from tests.kit.stalls import Stalls
from tests.kit.zk import Zk

pytestmark = pytest.mark.moldau_only
FAKE, NOT_ACTIVE = 3009, 1
LOOK_S, GAP_S = 1.5, 0.1


class Successor:
    """Notes when each broker said hello, and sends it away."""

    def __init__(self, predecessor):
        self.predecessor, self.hellos = predecessor, {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._main, daemon=True).start()

    def _main(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with conn, conn.makefile("rb") as words:
            head = words.read(4)
            if len(head) < 4:
                return
            frame = decode("Frame", words.read(struct.unpack(">I", head)[0]))
            if "hello" not in frame or "broker_id" not in frame["hello"]:
                return
            self.hellos.setdefault(frame["hello"]["broker_id"], []).append(time.monotonic())
            body = encode("Frame", {"goodbye": {"reason": NOT_ACTIVE, "active_id": self.predecessor}})
            conn.sendall(struct.pack(">I", len(body)) + body)

    def close(self):
        self.listener.close()


def longest_wait(hellos, since, until):
    times = [since, *(t for t in hellos if since < t < until), until]
    return max(b - a for a, b in zip(times, times[1:]))


@pytest.fixture
def cluster(new_cluster):
    made = new_cluster("seek", controllers=1)
    yield made
    made.close()


def test_a_successor_that_is_not_active_yet_is_asked_again_soon(cluster):
    cluster.wait_serving()
    successor = Successor(3001)
    with Zk(cluster.host, cluster.port("z1")) as zk, Stalls() as stalls:
        zk.create(f"/controllers/ids/{FAKE}", json.dumps(
            {"version": 1, "host": "127.0.0.1", "port": successor.port, "timestamp": "0"}), ephemeral=True)
        time.sleep(0.5)         # nothing tells when a broker has read it
        killed = cluster.kill_at_once("c1")
        time.sleep(0.05)
        zk.put("/controller", json.dumps({"version": 2, "brokerid": FAKE, "timestamp": "0", "kraftControllerEpoch": -1}))
        time.sleep(LOOK_S)
        until = time.monotonic()
        successor.close()
    for b in cluster.brokers:
        waited = longest_wait(successor.hellos.get(int(b), []), killed, until)
        assert waited < GAP_S + stalls.slack(killed, until), f"broker {b} did not ask for {waited * 1000:.0f} ms"
