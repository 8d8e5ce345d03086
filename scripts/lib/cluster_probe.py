"""cluster_probe - asks many local servers at once and never waits longer than told, whatever hangs.

A probe is ((host, port), request, parse): connect, send the request, hand what has come to parse(bytes, ended) until it
returns something. parse None: being connected is the answer. No threads: a stopped process accepts through its
kernel and says nothing, and a time-out must cost the same for one such server as for ten.
"""
import collections
import json
import select
import socket
import struct
import time


def ask(probes, timeout_s):
    """Returns one (connected, answer) for each probe; answer is None where none came in time."""
    deadline = time.monotonic() + timeout_s
    results = [(False, None)] * len(probes)
    poll, open_now = select.poll(), {}
    for at, (address, _, _) in enumerate(probes):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex(address)
        open_now[sock.fileno()] = (at, sock, bytearray())
        poll.register(sock, select.POLLOUT)
    while open_now:
        left_ms = (deadline - time.monotonic()) * 1000
        if left_ms <= 0:
            break
        for fd, events in poll.poll(left_ms):
            at, sock, got = open_now[fd]
            if not step(sock, events, probes[at], got, results, at, poll):
                poll.unregister(fd)
                sock.close()
                del open_now[fd]
    for _, sock, _ in open_now.values():
        sock.close()
    return results


def step(sock, events, probe, got, results, at, poll):
    """Moves one probe on; False when it is over."""
    _, request, parse = probe
    try:
        if events & select.POLLOUT:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
                return False
            results[at] = (True, None)
            if parse is None:
                return False
            sock.sendall(request)  # a few bytes into an empty buffer: goes at once
            poll.modify(sock, select.POLLIN)
            return True
        if not results[at][0]:
            return False
        chunk = sock.recv(65536)
        got += chunk
        answer = parse(bytes(got), not chunk)
        results[at] = (True, answer)
        return bool(chunk) and answer is None
    except (OSError, struct.error, ValueError):
        return False


# --- Kafka: Metadata v1 for no topics, which lists the brokers ------------------------------------

def metadata_request():
    body = struct.pack('>hhih', 3, 1, 1, 15) + b'scripts/cluster' + struct.pack('>i', 0)
    return struct.pack('>i', len(body)) + body


def metadata_brokers(got, _ended):
    """The set of broker ids in a Metadata v1 answer, None while it is incomplete."""
    if len(got) < 4 or len(got) < 4 + struct.unpack_from('>i', got)[0]:
        return None
    count, pos, ids = struct.unpack_from('>i', got, 8)[0], 12, set()
    for _ in range(count):
        ids.add(struct.unpack_from('>i', got, pos)[0])
        pos += 4
        pos += 2 + struct.unpack_from('>h', got, pos)[0]  # host
        pos += 4                                          # port
        pos += 2 + max(0, struct.unpack_from('>h', got, pos)[0])  # rack, may be null
    return ids


# --- a broker's status page --------------------------------------------------------------------

def status_request():
    return b'GET /status HTTP/1.0\r\n\r\n'


def status_page(got, ended):
    """The object that the page is, None while it is incomplete."""
    head, found, body = got.partition(b'\r\n\r\n')
    if not found or not (ended or body.endswith(b'\n')):
        return None
    return json.loads(body) if head.split(b' ')[1:2] == [b'200'] else {}


# --- ZooKeeper: its four-letter words, which need no session and write nothing ---------------------

def zookeeper_serves(got, ended):
    """Parses `srvr`: True once this server is part of a quorum."""
    return (b'\nMode: ' in got) if ended else None


def zookeeper_ephemerals(got, ended):
    """Parses `dump`: the ephemeral nodes of each session, as a list of sets of paths."""
    if not ended:
        return None
    sessions = []
    for line in got.decode('utf-8', 'replace').partition('ephemeral nodes dump:')[2].split('\n'):
        if line.startswith('0x'):
            sessions.append(set())
        elif line.startswith('\t/') and sessions:
            sessions[-1].add(line.strip())
        elif line.startswith('Connections dump'):
            break
    return sessions


def active_controller(answers, chroot):
    """Of several servers' `dump` answers: the id of the controller whose session holds /controller, or None.

    What most say counts: one that was cut off may still name a controller that has been replaced.

    Reading /controller itself would need a session, and every session is two synced writes in ZooKeeper: a status that
    is polled must not slow down the cluster that it looks at.
    """
    registered = chroot + '/controllers/ids/'
    named = collections.Counter()
    for sessions in answers:
        for paths in sessions or ():
            if chroot + '/controller' in paths:
                named.update([next((p[len(registered):] for p in paths if p.startswith(registered)), '')])
    most = named.most_common(1)
    return int(most[0][0]) if most and most[0][0].isdigit() else None
