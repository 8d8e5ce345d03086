"""A ZooKeeper client just big enough for tests: one session, calls that wait for their answer."""
import socket
import struct
import threading

CREATE, DELETE, EXISTS, GET, SET, CHILDREN, PING, CLOSE = 1, 2, 3, 4, 5, 8, 11, -11
NO_NODE, NODE_EXISTS = -101, -110
OPEN_ACL = struct.pack(">ii", 1, 31) + struct.pack(">i5si6s", 5, b"world", 6, b"anyone")


class ZkError(Exception):
    def __init__(self, code, path):
        super().__init__(f"{code} {path}")
        self.code = code


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">i", len(data)) + data


class Zk:
    def __init__(self, host, port, timeout_ms=20000):
        self.sock = socket.create_connection((host, port), 1)  # one that only just starts may accept and say nothing
        self.lock = threading.Lock()
        self.xid = 0
        self.sock.sendall(text(struct.pack(">iqiqi16s", 0, 0, timeout_ms, 0, 16, b"")))
        answer = self._frame()
        _, self.timeout_ms, self.session = struct.unpack_from(">iiq", answer)
        assert self.timeout_ms > 0, "the session was refused"
        self.sock.settimeout(10)
        self.stopping = threading.Event()
        threading.Thread(target=self._ping, daemon=True).start()

    def _ping(self):
        while not self.stopping.wait(self.timeout_ms / 3000):
            try:
                self._call(PING, b"", xid=-2)
            except OSError:
                return

    def _read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise ConnectionError("ZooKeeper closed the connection")
            data += chunk
        return data

    def _frame(self):
        return self._read(struct.unpack(">i", self._read(4))[0])

    def _call(self, kind, body, path="", xid=None):
        with self.lock:
            if xid is None:
                self.xid += 1
                xid = self.xid
            self.sock.sendall(text(struct.pack(">ii", xid, kind) + body))
            answer = self._frame()
        got, _, error = struct.unpack_from(">iqi", answer)
        assert got == xid, (got, xid)
        if error:
            raise ZkError(error, path)
        return answer[16:]

    def close(self):
        self.stopping.set()
        try:
            self._call(CLOSE, b"")
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def create(self, path, data=b"", ephemeral=False, sequential=False):
        flags = int(ephemeral) + 2 * int(sequential)
        self._call(CREATE, text(path) + text(data) + OPEN_ACL + struct.pack(">i", flags), path)

    def put(self, path, data):
        """Makes the node or replaces what is in it."""
        try:
            self.create(path, data)
        except ZkError as e:
            if e.code != NODE_EXISTS:
                raise
            self._call(SET, text(path) + text(data) + struct.pack(">i", -1), path)

    def get(self, path):
        """(data, czxid, version), or None when it is absent."""
        try:
            answer = self._call(GET, text(path) + b"\0", path)
        except ZkError as e:
            if e.code == NO_NODE:
                return None
            raise
        size = max(0, struct.unpack_from(">i", answer)[0])
        czxid, _, _, _, version = struct.unpack_from(">qqqqi", answer, 4 + size)
        return answer[4:4 + size], czxid, version

    def children(self, path):
        answer = self._call(CHILDREN, text(path) + b"\0", path)
        (count,), pos, names = struct.unpack_from(">i", answer), 4, []
        for _ in range(count):
            size = struct.unpack_from(">i", answer, pos)[0]
            names.append(answer[pos + 4:pos + 4 + size].decode())
            pos += 4 + size
        return names

    def delete(self, path):
        self._call(DELETE, text(path) + struct.pack(">i", -1), path)
