"""cluster_nodes - what a local cluster consists of, and each node's process.

    DIR/cluster.json       the settings given at `up`; the only state beside the pid files
    DIR/lock               held for moments: while settings are written, while a node is started
    DIR/ID/pid             pid, start time and boot of the node's process, written by itself before its exec
    DIR/ID/*.properties    or zoo.cfg; written at every `up`
    DIR/ID/broker.log      what it said (controller.log, zookeeper.log)
    DIR/ID/data            log directory of a broker, database of a ZooKeeper

A pid counts only together with its start time, so that a pid used again by a stranger is never signalled.
"""
import fcntl
import json
import os
import select
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ZOOKEEPER, CONTROLLER, BROKER = 'zookeeper', 'controller', 'broker'
LIMITS = {BROKER: 50, CONTROLLER: 30, ZOOKEEPER: 9}


class Trouble(Exception):
    """Something the caller has to be told; ends the command with exit code 1."""


class Settings:
    """What `up` was told, kept so that later verbs need not be told again."""
    DEFAULTS = {'brokers': 3, 'controllers': 2, 'zookeepers': 1, 'port_base': None, 'set': [], 'build': 'plain'}

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

    def overrides(self):
        return dict(self.settings['set'])

    def zookeeper_connect(self):
        own = ','.join(f'127.0.0.1:{n.port}' for n in self.nodes(ZOOKEEPER))
        return self.overrides().get('zookeeper.connect', own)

    def zookeeper_ports(self):
        """Local ports of the ensemble, and the chroot."""
        hosts, slash, chroot = self.zookeeper_connect().partition('/')
        ports = [int(h.rpartition(':')[2]) for h in hosts.split(',') if h.rpartition(':')[2].isdigit()]
        return ports, (slash + chroot).rstrip('/')

    def bootstrap(self):
        return ','.join(f'127.0.0.1:{n.port}' for n in self.nodes(BROKER))

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


class Node:
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
        first = self.cluster.overrides().get('log.dirs') or 'data'
        return os.path.join(self.dir, first.split(',')[0].strip())

    def properties(self):
        brokers = self.cluster.settings['brokers']
        if self.kind == CONTROLLER:
            own = {'controller.id': 3000 + self.index, 'controller.listener': f'127.0.0.1:{self.port}'}
        else:
            own = {'broker.id': self.index, 'listeners': f'PLAINTEXT://127.0.0.1:{self.port}',
                   'log.dirs': os.path.join(self.dir, 'data')}
        own['zookeeper.connect'] = self.cluster.zookeeper_connect()
        own['metrics.listener'] = f'127.0.0.1:{self.metrics}'
        # The controller decides about the cluster's internal topics, so it is told the same.
        own['offsets.topic.replication.factor'] = max(1, min(3, brokers))
        own['transaction.state.log.replication.factor'] = max(1, min(3, brokers))
        own['transaction.state.log.min.isr'] = max(1, min(2, brokers))
        own['group.initial.rebalance.delay.ms'] = 0
        own.update(self.cluster.overrides())
        return ''.join(f'{key}={value}\n' for key, value in own.items())

    def zoo_cfg(self):
        lines = ['tickTime=500', 'initLimit=20', 'syncLimit=10', f'dataDir={self.dir}/data',
                 f'clientPort={self.port}', 'clientPortAddress=127.0.0.1', 'maxClientCnxns=0',
                 'admin.enableServer=false', 'minSessionTimeout=500', 'maxSessionTimeout=60000',
                 'autopurge.snapRetainCount=3', 'autopurge.purgeInterval=1',
                 '4lw.commands.whitelist=ruok,srvr,mntr,stat,cons,wchs,dump,conf']
        ensemble = self.cluster.nodes(ZOOKEEPER)
        if len(ensemble) > 1:
            lines += [f'server.{n.index}=127.0.0.1:{n.quorum}:{n.election}' for n in ensemble]
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

    # --- its process ---------------------------------------------------------------------------

    def process(self):
        """(pid, state letter of /proc) of the running process, (0, '') when there is none."""
        try:
            with open(self.pid_file, encoding='ascii') as file:
                pid, start, boot = file.read().split()
        except (OSError, ValueError):
            return 0, ''
        state, started = process_stat(int(pid))
        if state in ('', 'Z', 'X') or started != start or boot != boot_id():
            return 0, ''
        return int(pid), state

    def start(self):
        """Starts it if it does not run; returns its pid once that is on record and its program runs."""
        with self.cluster.lock():
            pid, _ = self.process()
            if pid:
                return pid
            if not os.path.exists(self.config()):
                raise Trouble(f'{self.id} has no settings in {self.dir}: scripts/cluster up writes them')
            self.check_ports()
            return spawn(self.command(), self.dir, self.log, self.pid_file)

    def check_ports(self):
        for port in self.ports():
            if port_taken(port):
                raise Trouble(f'{self.id} needs port {port} of 127.0.0.1, which something else is using; '
                              'end that, or choose other ports: --port-base P --dir D')

    def signal(self, number):
        """Signals the process; False when there is none. Through a pidfd, so that it cannot be a later one."""
        pid, _ = self.process()
        if not pid:
            return False
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if self.process()[0] != pid:
                return False
            import signal  # costs milliseconds that `status` need not pay
            signal.pidfd_send_signal(fd, number)
            return True
        except ProcessLookupError:
            return False
        except PermissionError:
            raise Trouble(f'{self.id} (pid {pid}) belongs to another user') from None
        finally:
            os.close(fd)

    def wait_gone(self, timeout_s):
        """True once it has ended."""
        pid, _ = self.process()
        if not pid:
            return True
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            gone = bool(poll.poll(timeout_s * 1000))
        finally:
            os.close(fd)
        if gone:
            try:
                os.waitpid(pid, os.WNOHANG)  # if this very command has started it
            except ChildProcessError:
                pass
        return gone

    def log_tail(self, lines):
        try:
            with open(self.log, 'rb') as file:
                file.seek(max(0, os.path.getsize(self.log) - 65536))
                return b'\n'.join(file.read().split(b'\n')[-lines - 1:]).decode('utf-8', 'replace').rstrip()
        except OSError:
            return ''


# --- the machine -------------------------------------------------------------------------------

def write_file(path, text):
    """Replaces the file as a whole, so that nobody ever reads half of it."""
    with open(path + '.new', 'w', encoding='utf-8') as file:
        file.write(text)
    os.replace(path + '.new', path)


def boot_id():
    try:
        with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
            return file.read().strip()
    except OSError:
        return '-'


def process_stat(pid):
    """(state letter, start time in ticks since boot) of a process, ('', '') when there is none."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            fields = file.read().rpartition(')')[2].split()  # its name may contain anything
        return fields[0], fields[19]
    except OSError:
        return '', ''


def port_taken(port):
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(('127.0.0.1', port))
            sock.listen(1)
        except OSError:
            return True
    return False


def java():
    home = os.environ.get('JAVA_HOME', '')
    places = ([os.path.join(home, 'bin')] if home else []) + os.environ.get('PATH', '').split(':') + ['/usr/bin']
    for place in places:
        path = os.path.join(place, 'java')
        if os.access(path, os.X_OK):
            return path
    raise Trouble('no java found for ZooKeeper: scripts/deps installs one')


def spawn(command, folder, log, pid_file):
    """Starts command in a session of its own with no descriptor of ours; returns its pid.

    The child itself puts its pid on record before it becomes the program, so there is no moment, whatever interrupts
    us, in which a node runs that nobody knows of.
    """
    import signal
    sys.stdout.flush()
    sys.stderr.flush()
    heard, told = os.pipe()  # close-on-exec: it ends when the program has started
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE,
                           signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTSTP, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.dup2(os.open('/dev/null', os.O_RDONLY), 0)
            said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(said, 1)
            os.dup2(said, 2)
            for name in os.listdir('/proc/self/fd'):
                if int(name) > 2 and int(name) != told:
                    try:
                        os.close(int(name))
                    except OSError:
                        pass
            os.chdir(folder)
            write_file(pid_file, f'{os.getpid()} {process_stat(os.getpid())[1]} {boot_id()}\n')
            os.execv(command[0], command)
        except OSError as err:
            os.write(told, f'{command[0]}: {err.strerror}'.encode())
        finally:
            os._exit(127)
    os.close(told)
    wrong = b''
    while chunk := os.read(heard, 4096):
        wrong += chunk
    os.close(heard)
    if wrong:
        os.waitpid(pid, 0)
        raise Trouble('cannot start ' + wrong.decode())
    return pid


def wait_until(what, done, timeout_s, every_s=0.05):
    """Polls done() until it returns None; it returns what is missing till then. Raises Trouble after timeout_s."""
    deadline = time.monotonic() + timeout_s
    said, said_at, start = None, 0.0, time.monotonic()
    terminal = sys.stderr.isatty()
    while True:
        missing = done()
        now = time.monotonic()
        if missing is None:
            if said is not None and terminal:
                sys.stderr.write('\r\033[K')
            return
        if now > deadline:
            raise Trouble(f'{what}: not within {timeout_s:.0f} s: {missing}')
        if terminal or (now - start > 1 and (missing != said or now - said_at > 10)):
            if terminal:
                sys.stderr.write(f'\r\033[K{what} {now - start:.0f} s: {missing}')
            elif now - said_at > 2:
                sys.stderr.write(f'{what} {now - start:.0f} s: {missing}\n')
                said_at = now
            sys.stderr.flush()
            said = missing
        time.sleep(every_s)
