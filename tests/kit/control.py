"""Speaks the control stream: a broker that is only words. Messages are dicts; the schema is read from control.proto.

    with Stream("127.0.0.1", 9190) as stream:
        stream.send(hello=dict(protocol=1, broker_id=7, ...))
        kind, message = stream.next()
"""
import re
import socket
import struct
import time
from pathlib import Path

PROTO = Path(__file__).resolve().parents[2] / "proto" / "control.proto"
VARINTS = {"int32", "int64", "uint32", "uint64", "bool"}


def read_schema(text):
    """{message: {field: (number, type, repeated, packed)}}; nested messages by their last name, enums as ints."""
    schema, enums, stack = {}, set(), []
    for line in re.sub(r"//[^\n]*", "", text).splitlines():
        if m := re.match(r"\s*(message|enum) (\w+) \{", line):
            name = ".".join([s for s in stack if s] + [m[2]])
            stack.append(m[2])
            (enums.add(m[2]) if m[1] == "enum" else schema.setdefault(name, {}))
            if "}" in line:
                stack.pop()
        elif m := re.match(r"\s*(optional|repeated) (\w+) (\w+) = (\d+)( \[packed = true\])?;", line):
            schema[".".join(stack)][m[3]] = (int(m[4]), m[2], m[1] == "repeated", bool(m[5]))
        elif "}" in line and stack:
            stack.pop()
    return schema, enums


SCHEMA, ENUMS = read_schema(PROTO.read_text())


def kind_of(message, field_type):
    """'varint', 'bytes', or the name of a message."""
    if field_type in VARINTS or field_type in ENUMS:
        return "varint"
    if field_type in ("string", "bytes"):
        return field_type
    nested = f"{message}.{field_type}"
    return nested if nested in SCHEMA else field_type


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(message, values):
    out = bytearray()
    for name, value in values.items():
        number, field_type, repeated, packed = SCHEMA[message][name]
        kind = kind_of(message, field_type)
        if packed:
            body = b"".join(varint(int(v)) for v in value)
            out += varint(number << 3 | 2) + varint(len(body)) + body
            continue
        for item in value if repeated else [value]:
            if kind == "varint":
                out += varint(number << 3) + varint(int(item))
                continue
            body = item.encode() if kind == "string" else bytes(item) if kind == "bytes" else encode(kind, item)
            out += varint(number << 3 | 2) + varint(len(body)) + body
    return bytes(out)


def read_varint(data, pos):
    value = shift = 0
    while True:
        byte = data[pos]
        value |= (byte & 0x7f) << shift
        pos, shift = pos + 1, shift + 7
        if byte < 0x80:
            return value, pos


def signed(value, field_type):
    return value - (1 << 64) if field_type in ("int32", "int64") and value >= 1 << 63 else value


def decode(message, data):
    by_number = {f[0]: (name, *f[1:]) for name, f in SCHEMA[message].items()}
    out = {name: [] for name, f in SCHEMA[message].items() if f[2]}
    pos = 0
    while pos < len(data):
        key, pos = read_varint(data, pos)
        name, field_type, repeated, _ = by_number[key >> 3]
        kind = kind_of(message, field_type)
        if key & 7 == 0:
            value, pos = read_varint(data, pos)
            value = signed(value, field_type)
        else:
            size, pos = read_varint(data, pos)
            body, pos = data[pos:pos + size], pos + size
            if kind == "varint":
                at = 0
                while at < len(body):
                    value, at = read_varint(body, at)
                    out[name].append(signed(value, field_type))
                continue
            value = body.decode() if kind == "string" else body if kind == "bytes" else decode(kind, body)
        if repeated:
            out[name].append(value)
        else:
            out[name] = value
    return out


class Closed(ConnectionError):
    """The controller has closed the stream."""


class Stream:
    def __init__(self, host, port, timeout=10.0):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, **frame):
        """One frame: send(ack=dict(...)); messages of the same kind as in control.proto."""
        body = encode("Frame", frame)
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def _read(self, size):
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise Closed("the stream was closed")
            data += chunk
        return data

    def next(self, timeout=10.0):
        """(kind, message) of the next frame."""
        self.sock.settimeout(timeout)
        frame = decode("Frame", self._read(struct.unpack(">I", self._read(4))[0]))
        return next(iter(frame.items()))

    def expect(self, kind, timeout=10.0):
        """The next frame of that kind; passes over others, but not over a goodbye."""
        end = time.monotonic() + timeout
        while True:
            got, message = self.next(max(0.01, end - time.monotonic()))
            if got == kind:
                return message
            assert got != "goodbye", message
