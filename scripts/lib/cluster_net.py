"""cluster_net - the network of a cluster made with --netns: one namespace per node, joined by a switch of our own.

The switch (tests/chaos/switch.c) makes the namespaces, forwards every packet between them and the machine, and loses or
delays what it is told to. The namespaces belong to it: a node enters its own through a descriptor of the switch, and
when the last of them has ended nothing is left behind.

    DIR/net/pid, switch.log, sock      the switch's process, its words, its orders
"""
import os
import socket
import zlib

from cluster_nodes import LOOPBACK, ROOT
from cluster_process import Process, Trouble, spawn, wait_until

CLIENTS = 'clients'  # the machine itself, as the switch calls it
CLIENTS_BYTE = 1


class Net(Process):
    """The switch of one cluster."""

    def __init__(self, cluster):
        self.cluster, self.id = cluster, 'the switch'
        self.dir = os.path.join(cluster.dir, 'net')
        self.log = os.path.join(self.dir, 'switch.log')
        self.pid_file = os.path.join(self.dir, 'pid')

    @staticmethod
    def program():
        return os.path.join(os.environ.get('MOLDAU_BIN_DIR') or os.path.join(ROOT, 'build', 'bin'), 'moldau-switch')

    # --- its life ------------------------------------------------------------------------------

    def start(self):
        """Starts it unless it runs; the nodes' namespaces are there when this returns."""
        if self.process()[0]:
            return
        left = [n.id for n in self.cluster.nodes() if n.process()[0]]
        if left:
            raise Trouble(f'the switch has ended, so that {" ".join(left)} cannot reach anybody: '
                          f'scripts/cluster down, then up; its last words are in {self.log}')
        if os.geteuid() != 0:
            raise Trouble('--netns makes network namespaces, which takes root')
        os.makedirs(self.dir, exist_ok=True)
        names = [f'{n.id}={n.host_byte}' for n in self.cluster.nodes()]
        spawn([self.program(), self.cluster.settings['subnet'], 'sock', *names], self.dir, self.log, self.pid_file)
        wait_until('network', self._missing, 30, 0.01)

    def _missing(self):
        if not self.process()[0]:
            raise Trouble(f'the switch has ended: {self.log_tail(5)}')
        try:
            self.order('show')
        except OSError as wrong:
            return wrong.strerror
        return None

    def door(self, node_id):
        """What to put before a command so that it runs in the node's namespace, as the same process."""
        self.start()
        for kind, *words in self.shown():
            if kind == 'node' and words[0] == node_id:
                return ['/usr/bin/nsenter', f'--net=/proc/{self.process()[0]}/fd/{words[2]}', '--']
        raise Trouble(f'{node_id} was not there when the network was made: scripts/cluster down, then up')

    # --- orders --------------------------------------------------------------------------------

    def order(self, text):
        """Sends one order and returns the answer. Through the folder's descriptor, since sockets' paths are short."""
        folder = os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.settimeout(5)
                sock.connect(f'/proc/self/fd/{folder}/sock')
                sock.sendall(text.encode())
                answer = sock.recv(1 << 17).decode()
        finally:
            os.close(folder)
        if answer == 'not understood':
            raise Trouble(f'the switch does not understand: {text}')
        return answer

    def shown(self):
        return [line.split() for line in self.order('show').split('\n') if line]

    def between(self, ids, peers, rule, one_way):
        """Gives every direction between ids and peers (all others unless told) that rule."""
        everybody = [CLIENTS] + [n.id for n in self.cluster.nodes()]
        for peer in peers:
            if peer not in everybody:
                raise Trouble(f'no {peer} in this network (there are {" ".join(everybody)})')
        for one in ids:
            for other in peers or everybody:
                if other != one:
                    self.order(f'set {one} {other} {rule}')
                    if not one_way:
                        self.order(f'set {other} {one} {rule}')

    def trouble(self):
        """What is not clear, a line each, for people."""
        lines = []
        for kind, *words in self.shown() if self.process()[0] else []:
            if kind == 'rule':
                facts = dict(word.split('=') for word in words[2:])
                what = ['nothing passes'] if facts['cut'] == '1' else []
                what += [f'loses {int(facts["loss"]) / 10000:g} %'] if facts['loss'] != '0' else []
                what += [f'{int(facts["delay"]) / 1000:g} ms late'] if facts['delay'] != '0' else []
                what += [f'up to {int(facts["jitter"]) / 1000:g} ms more'] if facts['jitter'] != '0' else []
                lines.append(f'{words[0]} -> {words[1]}: ' + ', '.join(what))
        return lines


def choose_subnet(folder):
    """A /24 of a private range whose first address is not ours yet, by the cluster's directory."""
    first = zlib.crc32(os.path.abspath(folder).encode()) % 254
    for i in range(254):
        subnet = f'10.213.{(first + i) % 254 + 1}'
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((f'{subnet}.{CLIENTS_BYTE}', 0))
            except OSError:
                return subnet
    raise Trouble(f'no free network in 10.213.0.0/16; without --netns the nodes share {LOOPBACK}')
