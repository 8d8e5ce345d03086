"""cluster_nodes - what a local cluster consists of, and each node's process.

    DIR/cluster.json       the settings given at `up`; the only state beside the pid files
    DIR/lock               held for moments: while settings are written, while a node is started
    DIR/ID/pid             pid, start time and boot of the node's process, written by itself before its exec
    DIR/ID/*.properties    or zoo.cfg; written at every `up`
    DIR/ID/broker.log      what it said (controller.log, zookeeper.log)
    DIR/ID/data            log directory of a broker, database of a ZooKeeper

With --netns every node has a network namespace of its own, which belongs to the switch (cluster_net): its addresses
are those of a private subnet then, and it can be cut off.
"""
import fcntl
import json
import os

from cluster_process import Process, Trouble, java, port_taken, spawn, write_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ZOOKEEPER, CONTROLLER, BROKER = 'zookeeper', 'controller', 'broker'
LIMITS = {BROKER: 50, CONTROLLER: 30, ZOOKEEPER: 9}
HOSTS = {BROKER: 10, CONTROLLER: 100, ZOOKEEPER: 200}  # last byte of the address of node 0, were there one
LOOPBACK = '127.0.0.1'


class Settings:
    """What `up` was told, kept so that later verbs need not be told again."""
    DEFAULTS = {'brokers': 3, 'controllers': 2, 'zookeepers': 1, 'port_base': None, 'set': [], 'build': 'plain',
                'netns': False, 'subnet': None}

    def __init__(self, folder):
        self.path = os.path.join(folder, 'cluster.json')
        self.values = dict(self.DEFAULTS)
        try:
            with open(self.path, encoding='utf-8') as file:
                self.values.update(json.load(file))
            self.recorded = True
        except FileNotFoundError:
            self.recorded = False

    def __getitem__(self, key):
        return self.values[key]

    def save(self):
        write_file(self.path, json.dumps(self.values, indent=1) + '\n')


class Cluster:
    """All nodes of one directory."""

    def __init__(self, folder):
        self.dir = os.path.abspath(folder)
        self.settings = Settings(self.dir)

    def nodes(self, kind=None):
        """In the order in which they start: ZooKeepers, controllers, brokers. Empty before the first `up`."""
        if not self.settings.recorded:
            return []
        kinds = (kind,) if kind else (ZOOKEEPER, CONTROLLER, BROKER)
        return [Node(self, k, i) for k in kinds for i in range(1, self.settings[k + 's'] + 1)]

    def node(self, name):
        for node in self.nodes():
            if node.id == name:
                return node
        known = ' '.join(n.id for n in self.nodes()) or 'none: scripts/cluster up makes them'
        raise Trouble(f'no node {name} in {self.dir} (there are {known})')

    def lock(self):
        os.makedirs(self.dir, exist_ok=True)
        return Lock(os.path.join(self.dir, 'lock'))

    def overrides(self, node=None):
        """What --set says for all; for one node also what it says for that one (ID:KEY=VALUE)."""
        given = self.settings['set']
        mine = {key.partition(':')[2]: value for key, value in given if key.partition(':')[0] == node}
        return {**{key: value for key, value in given if ':' not in key}, **mine}

    def zookeeper_connect(self):
        own = ','.join(f'{n.host}:{n.port}' for n in self.nodes(ZOOKEEPER))
        return self.overrides().get('zookeeper.connect', own)

    def zookeeper_addresses(self):
        """Where the ensemble's servers are on this machine, and the chroot."""
        hosts, slash, chroot = self.zookeeper_connect().partition('/')
        own = {n.port: n.host for n in self.nodes(ZOOKEEPER)}
        ports = [int(h.rpartition(':')[2]) for h in hosts.split(',') if h.rpartition(':')[2].isdigit()]
        return [(own.get(p, LOOPBACK), p) for p in ports], (slash + chroot).rstrip('/')

    def bootstrap(self):
        return ','.join(f'{n.host}:{n.port}' for n in self.nodes(BROKER))

    @property
    def net(self):
        """The switch that its nodes are connected to; None when they share the machine's loopback."""
        from cluster_net import Net
        return Net(self) if self.settings['netns'] else None

    def bin_dir(self):
        given = os.environ.get('MOLDAU_BIN_DIR')
        if given:
            return os.path.abspath(given)
        flavour = self.settings['build']
        return os.path.join(ROOT, 'build', 'bin') if flavour == 'plain' else \
            os.path.join(ROOT, 'build', flavour, 'bin')


class Lock:
    """An advisory lock; Python opens it close-on-exec, so that no started node can inherit it."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self.fd, fcntl.LOCK_EX)

    def __exit__(self, *_):
        os.close(self.fd)


class Node(Process):
    """One process of the cluster."""

    def __init__(self, cluster, kind, index):
        self.cluster, self.kind, self.index = cluster, kind, index
        base = cluster.settings['port_base']
        if kind == BROKER:
            self.id = str(index)
            self.port, self.metrics = (9091 + index, 9391 + index) if base is None else \
                (base + index, base + 100 + index)
        elif kind == CONTROLLER:
            self.id = f'c{index}'
            self.port, self.metrics = (9189 + index, 9489 + index) if base is None else \
                (base + 50 + index, base + 150 + index)
        else:
            self.id = f'z{index}'
            self.port = 2180 + index if base is None else base + 80 + index
            self.quorum = 2887 + index if base is None else base + 180 + index
            self.election = 3887 + index if base is None else base + 190 + index
        self.host_byte = HOSTS[kind] + index
        self.host = f'{cluster.settings["subnet"]}.{self.host_byte}' if cluster.settings['netns'] else LOOPBACK
        self.dir = os.path.join(cluster.dir, self.id)
        self.log = os.path.join(self.dir, kind + '.log')
        self.pid_file = os.path.join(self.dir, 'pid')

    def ports(self):
        if self.kind == ZOOKEEPER:
            return [self.port] + ([self.quorum, self.election] if self.cluster.settings['zookeepers'] > 1 else [])
        return [self.port, self.metrics]

    # --- files ---------------------------------------------------------------------------------

    def data(self):
        """First log directory of a broker; relative ones are the node's own."""
        first = self.cluster.overrides(self.id).get('log.dirs') or 'data'
        return os.path.join(self.dir, first.split(',')[0].strip())

    def properties(self):
        brokers = self.cluster.settings['brokers']
        if self.kind == CONTROLLER:
            own = {'controller.id': 3000 + self.index, 'controller.listener': f'{self.host}:{self.port}'}
        else:
            own = {'broker.id': self.index, 'listeners': f'PLAINTEXT://{self.host}:{self.port}',
                   'log.dirs': os.path.join(self.dir, 'data')}
        own['zookeeper.connect'] = self.cluster.zookeeper_connect()
        own['metrics.listener'] = f'{self.host}:{self.metrics}'
        # The controller decides about the cluster's internal topics, so it is told the same.
        own['offsets.topic.replication.factor'] = max(1, min(3, brokers))
        own['transaction.state.log.replication.factor'] = max(1, min(3, brokers))
        own['transaction.state.log.min.isr'] = max(1, min(2, brokers))
        own['group.initial.rebalance.delay.ms'] = 0
        own.update(self.cluster.overrides(self.id))
        return ''.join(f'{key}={value}\n' for key, value in own.items())

    def zoo_cfg(self):
        lines = ['tickTime=500', 'initLimit=20', 'syncLimit=10', f'dataDir={self.dir}/data',
                 f'clientPort={self.port}', f'clientPortAddress={self.host}', 'maxClientCnxns=0',
                 'admin.enableServer=false', 'minSessionTimeout=500', 'maxSessionTimeout=60000',
                 'autopurge.snapRetainCount=3', 'autopurge.purgeInterval=1',
                 '4lw.commands.whitelist=ruok,srvr,mntr,stat,cons,wchs,dump,conf']
        ensemble = self.cluster.nodes(ZOOKEEPER)
        if len(ensemble) > 1:
            lines += [f'server.{n.index}={n.host}:{n.quorum}:{n.election}' for n in ensemble]
        return '\n'.join(lines) + '\n'

    def write_files(self):
        if self.kind != CONTROLLER:
            os.makedirs(os.path.join(self.dir, 'data'), exist_ok=True)
        if self.kind == ZOOKEEPER:
            write_file(os.path.join(self.dir, 'data', 'myid'), f'{self.index}\n')
            write_file(os.path.join(self.dir, 'zoo.cfg'), self.zoo_cfg())
        else:
            write_file(self.config(), self.properties())

    def config(self):
        name = {BROKER: 'server.properties', CONTROLLER: 'controller.properties', ZOOKEEPER: 'zoo.cfg'}[self.kind]
        return os.path.join(self.dir, name)

    def command(self):
        if self.kind == ZOOKEEPER:
            return [java(), '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData',
                    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
                    '-Dorg.slf4j.simpleLogger.showDateTime=true',
                    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
                    '-cp', '/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar',
                    'org.apache.zookeeper.server.quorum.QuorumPeerMain', self.config()]
        return [os.path.join(self.cluster.bin_dir(), 'moldau-' + self.kind), self.config()]

    def start(self):
        """Starts it if it does not run; returns its pid once that is on record and its program runs."""
        with self.cluster.lock():
            pid, _ = self.process()
            if pid:
                return pid
            if not os.path.exists(self.config()):
                raise Trouble(f'{self.id} has no settings in {self.dir}: scripts/cluster up writes them')
            self.check_ports()
            net = self.cluster.net
            return spawn((net.door(self.id) if net else []) + self.command(), self.dir, self.log, self.pid_file)

    def check_ports(self):
        """Nobody else may listen there; in a namespace of its own nobody can."""
        for port in [] if self.cluster.net else self.ports():
            if port_taken(port):
                raise Trouble(f'{self.id} needs port {port} of {LOOPBACK}, which something else is using; '
                              'end that, or choose other ports: --port-base P --dir D')
