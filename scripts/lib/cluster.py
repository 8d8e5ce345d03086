"""cluster - the verbs of scripts/cluster. Nodes are in cluster_nodes, questions to them in cluster_probe."""
import json
import os
import sys
import time

from cluster_nodes import BROKER, CONTROLLER, LIMITS, ROOT, ZOOKEEPER, Cluster
from cluster_probe import (active_controller, ask, metadata_brokers, metadata_request, status_page, status_request,
                           zookeeper_ephemerals, zookeeper_serves)
from cluster_process import Trouble, wait_until

HELP = '''scripts/cluster VERB [OPTION]... - a local moldau cluster: ZooKeeper, controllers, brokers

  up                    start what is not running, wait until every broker knows all brokers,
                        print the bootstrap address. Installs and builds what is missing.
  down                  stop everything in order; data and settings stay
  status [--json]       every node: pid, port, whether it is up, which controller is active; of a broker
                        that opens its logs, how many of how many, by directory
  stop ID...            SIGTERM, returns when the process is gone     (--timeout SECONDS, 60 unless told)
  kill ID...            SIGKILL, returns when the process is gone
  start ID...           start again with the settings given at up; returns once it runs
  pause ID... / resume ID...       SIGSTOP / SIGCONT
  log ID [-n LINES] [-f]           what it said; -f follows
  cut ID [PEER...] [--one-way]     nothing passes between them any more (PEER: everybody, clients too, unless told);
                                   --one-way: what ID sends is lost, what is sent to it arrives
  slow ID [PEER...] [--delay MS] [--jitter MS] [--loss PERCENT] [--one-way]
  mend                             the network is whole again
  clean                 down, and delete data, logs and settings

IDs: 1.. brokers, c1.. controllers, z1.. ZooKeepers. A PEER may be `clients`: whoever is not a node.
Options of up; what is not said stays as it was at the last up, at first 3 brokers, 2 controllers, 1 ZooKeeper:
  --brokers N  --controllers N  --zookeepers N
  --port-base P         brokers P+1.., controllers P+51.., ZooKeepers P+81.., metrics P+101.. and P+151..
                        (else brokers 9092.., controllers 9190.., ZooKeepers 2181.., metrics 9392.. and 9490..)
  --set KEY=VALUE       into every broker's and controller's settings; replaces those of the last up
  --set ID:KEY=VALUE    into the settings of one node
  --build FLAVOUR       executables of build/FLAVOUR/bin (address, thread, ...); plain is build/bin
  --netns               every node in a network namespace of its own, so that `cut`, `slow` and `mend` work; takes root
  --timeout SECONDS     how long to wait for health, 120 unless told
Option of every verb:
  --dir D               where settings, logs and data live, run/ in the checkout unless told

Examples:
  scripts/cluster up --brokers 5 --set min.insync.replicas=2
  scripts/cluster up --dir /tmp/other --port-base 20000      a second one beside the first
  scripts/cluster kill 2; scripts/cluster start 2; scripts/cluster log 2 -f
'''

TAKES_VALUE = {'--brokers': int, '--controllers': int, '--zookeepers': int, '--port-base': int, '--dir': str,
               '--set': str, '--build': str, '--timeout': float, '-n': int, '--delay': float, '--jitter': float,
               '--loss': float}
FLAGS = ('--json', '-f', '--help', '-h', '--follow', '--netns', '--one-way')


class Usage(Exception):
    pass


def parse(args):
    """(verb, ids, options); options may stand anywhere, as --key value or --key=value."""
    words, options, args = [], {'--set': []}, list(args)
    while args:
        arg = args.pop(0)
        name, equals, value = arg.partition('=')
        if arg in FLAGS:
            options[arg] = True
        elif name in TAKES_VALUE:
            if not equals:
                if not args:
                    raise Usage(f'{name} wants a value')
                value = args.pop(0)
            try:
                value = TAKES_VALUE[name](value)
            except ValueError:
                raise Usage(f'{name} wants a number, not {value}') from None
            if name == '--set':
                options[name].append(value)
            else:
                options[name] = value
        elif arg.startswith('-'):
            raise Usage(f'unknown option {arg}')
        else:
            words.append(arg)
    return (words[0] if words else 'help'), words[1:], options


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- up ------------------------------------------------------------------------------------------

def take_settings(cluster, options):
    """Merges what is said now into what was said before, refusing what would pull a running cluster apart."""
    settings, values = cluster.settings, dict(cluster.settings.values)
    for key in ('brokers', 'controllers', 'zookeepers', 'build'):
        values[key] = options.get('--' + key, values[key])
    values['port_base'] = options.get('--port-base', values['port_base'])
    values['netns'] = options.get('--netns', values['netns'])
    if values['netns'] and not values['subnet']:
        from cluster_net import choose_subnet
        values['subnet'] = choose_subnet(cluster.dir)
    if options['--set']:
        values['set'] = [pair.partition('=')[::2] for pair in options['--set']]
        values['set'] = [[key.strip(), value.strip()] for key, value in values['set']]
    for kind, most in LIMITS.items():
        if not 0 <= values[kind + 's'] <= most:
            raise Trouble(f'--{kind}s {values[kind + "s"]}: between 0 and {most}')
    if values['port_base'] is not None and not 1 <= values['port_base'] <= 65300:
        raise Trouble(f'--port-base {values["port_base"]}: between 1 and 65300')
    if values['zookeepers'] == 0 and 'zookeeper.connect' not in dict(values['set']) and values['brokers']:
        raise Trouble('--zookeepers 0 needs --set zookeeper.connect=HOST:PORT')
    before = settings.values
    if settings.recorded and values != before:
        fixed = ['zookeepers', 'port_base', 'netns'] + (['brokers', 'controllers'] if values['netns'] else [])
        moved = [k for k in fixed if values[k] != before[k]]
        fewer = [k for k in ('brokers', 'controllers') if values[k] < before[k]]
        running = [n.id for n in cluster.nodes() if n.process()[0]]
        if running and (moved or fewer):
            raise Trouble(f'{", ".join(moved + fewer)} cannot change while {" ".join(running)} run: '
                          'scripts/cluster down first')
        if 'zookeepers' in moved and 1 in (values['zookeepers'], before['zookeepers']):
            raise Trouble('one ZooKeeper and several keep their data differently: scripts/cluster clean first')
        if running and (values['set'], values['build']) != (before['set'], before['build']):
            say(f'note: {" ".join(running)} run already and take the new settings when started again')
    settings.values = values


def prepare(cluster):
    """Installs and builds what is missing."""
    import subprocess
    if subprocess.run([os.path.join(ROOT, 'scripts', 'deps')], stdin=subprocess.DEVNULL, stdout=sys.stderr,
                      check=False).returncode != 0:
        raise Trouble('scripts/deps could not install what is missing')
    wanted = [n for n in cluster.nodes(CONTROLLER)[:1] + cluster.nodes(BROKER)[:1]]
    wanted = [n.command()[0] for n in wanted] + ([cluster.net.program()] if cluster.net else [])
    missing = [path for path in wanted if not os.access(path, os.X_OK)]
    if missing and 'MOLDAU_BIN_DIR' not in os.environ:
        flavour = cluster.settings['build']
        say(f'building ({flavour})')
        for words in [['all'] + ([f'SAN={flavour}'] if flavour != 'plain' else [])] + [['switch']] * bool(cluster.net):
            subprocess.run(['make', '-C', ROOT, f'-j{os.cpu_count()}', *words], stdin=subprocess.DEVNULL,
                           stdout=sys.stderr, check=False)
        missing = [path for path in missing if not os.access(path, os.X_OK)]
    if missing:
        raise Trouble(f'{" and ".join(missing)} cannot be run')


def ended(nodes):
    """Raises Trouble if one of the nodes has ended."""
    for node in nodes:
        if not node.process()[0]:
            raise Trouble(f'{node.id} has ended; the end of {node.log}:\n{node.log_tail(20)}')


def zookeepers_missing(nodes):
    ended(nodes)
    answers = ask([((n.host, n.port), b'srvr', zookeeper_serves) for n in nodes], 0.5)
    missing = [n.id for n, (_, serves) in zip(nodes, answers) if not serves]
    return f'waiting for {" ".join(missing)}' if missing else None


def brokers_missing(cluster):
    """What is not healthy yet: every broker has to name all brokers, and one controller has to be active."""
    nodes = cluster.nodes(BROKER)
    ended(cluster.nodes())
    wanted = {n.index for n in nodes}
    answers = ask([((n.host, n.port), metadata_request(), metadata_brokers) for n in nodes], 0.5)
    silent = [n.id for n, (_, ids) in zip(nodes, answers) if ids is None]
    partial = [n.id for n, (_, ids) in zip(nodes, answers) if ids is not None and ids != wanted]
    missing = []
    if silent:
        missing.append(f'no answer yet from {" ".join(silent)}')
    if partial:
        missing.append(f'not yet knowing all brokers: {" ".join(partial)}')
    if cluster.nodes(CONTROLLER) and not any(c['active'] for c in status_of(cluster, 0.5)['controllers']):
        missing.append('no active controller yet')
    return '; '.join(missing) or None


def up(cluster, _ids, options):
    with cluster.lock():
        take_settings(cluster, options)
        cluster.settings.recorded = True  # what follows looks at the nodes that these settings make
    prepare(cluster)
    timeout_s = options.get('--timeout', 120.0)
    with cluster.lock():
        for node in cluster.nodes():  # before anything is started or written
            if not node.process()[0]:
                node.check_ports()
        cluster.settings.save()
        for node in cluster.nodes():
            os.makedirs(node.dir, exist_ok=True)
            node.write_files()
    if cluster.net:
        cluster.net.start()
    keepers = cluster.nodes(ZOOKEEPER)
    for node in keepers:
        node.start()
    wait_until('ZooKeeper', lambda: zookeepers_missing(keepers), timeout_s)
    for node in cluster.nodes(CONTROLLER) + cluster.nodes(BROKER):
        node.start()
    wait_until('cluster', lambda: brokers_missing(cluster), timeout_s)
    counts = [(len(cluster.nodes(k)), k) for k in (BROKER, CONTROLLER, ZOOKEEPER)]
    say('up: ' + ', '.join(f'{n} {k}{"" if n == 1 else "s"}' for n, k in counts if n) + f' in {cluster.dir}')
    print(cluster.bootstrap(), flush=True)


# --- status --------------------------------------------------------------------------------------

def status_of(cluster, timeout_s):
    """The object of `status --json`. A node is up when its process runs, is not paused, and takes connections."""
    nodes = cluster.nodes()
    keepers, chroot = cluster.zookeeper_addresses() if nodes else ([], '')
    own = {n.port: n.process() for n in nodes}
    running = [n for n in nodes if own[n.port][1] not in ('', 'T', 't')]
    probes = [((n.host, n.port), b'', None) for n in running if n.kind != ZOOKEEPER]
    probes += [(k, b'dump', zookeeper_ephemerals) for k in keepers]
    probes += [((n.host, n.metrics), status_request(), status_page) for n in running if n.kind == BROKER]
    answers = dict(zip([p[0] for p in probes], ask(probes, timeout_s)))
    active = active_controller([answers[k][1] for k in keepers], chroot)

    def facts(node):
        pid, state = own[node.port]
        is_up = state not in ('', 'T', 't') and answers.get((node.host, node.port), (False,))[0]
        return {'id': node.id, 'pid': pid, 'host': node.host, 'port': node.port, 'up': is_up, **loading(node)}

    def loading(node):
        """Of a broker that opens its logs: how far it is. Its port takes connections by then, and answers nobody."""
        page = answers.get((node.host, node.metrics), (False, None))[1] if node.kind == BROKER else None
        if not page or page.get('state') != 'loading':
            return {}
        return {'up': False, 'loading': {k: page[k] for k in ('logs_loaded', 'logs_total', 'dirs') if k in page}}

    controllers = []
    for node in cluster.nodes(CONTROLLER):
        fact = facts(node)
        controllers.append({**fact, 'active': fact['up'] and active == 3000 + node.index})
    return {'bootstrap': cluster.bootstrap(),
            'zookeeper': cluster.zookeeper_connect() if nodes else '',
            'brokers': [{**facts(n), 'data': n.data()} for n in cluster.nodes(BROKER)],
            'controllers': controllers,
            'zookeepers': [facts(n) for n in cluster.nodes(ZOOKEEPER)]}


def loading_text(loading):
    dirs = loading.get('dirs', ())
    parts = [f'loading, {loading["logs_loaded"]} of {loading["logs_total"]} logs']
    if any(d['bytes_read'] for d in dirs):
        parts.append(f'{sum(d["bytes_read"] for d in dirs) / 2**20:.0f} MiB read anew')
    if len(dirs) > 1:
        parts.append(', '.join(f'{d["dir"]} {d["logs_loaded"]}/{d["logs_total"]}' for d in dirs))
    return '; '.join(parts)


def status(cluster, _ids, options):
    if options.get('--json'):
        print(json.dumps(status_of(cluster, 0.1)))
        return 0
    if not cluster.settings.recorded:
        say(f'no cluster in {cluster.dir}: scripts/cluster up makes one')
        return 1
    found = status_of(cluster, 0.1)
    print(f'brokers    {found["bootstrap"]}\nzookeeper  {found["zookeeper"]}\ndirectory  {cluster.dir}\n')
    print(f'{"ID":4} {"WHAT":11} {"PID":>8} {"PORT":>6}  STATE')
    for fact in found['brokers'] + found['controllers'] + found['zookeepers']:
        node = cluster.node(fact['id'])
        if fact['up']:
            state = 'up, active' if fact.get('active') else 'up'
        elif not fact['pid']:
            state = 'down'
        elif 'loading' in fact:
            state = loading_text(fact['loading'])
        else:
            state = 'paused' if node.process()[1] in ('T', 't') else 'running, takes no connections yet'
        print(f'{fact["id"]:4} {node.kind:11} {fact["pid"] or "-":>8} {fact["port"]:>6}  {state}')
    for line in cluster.net.trouble() if cluster.net else []:
        print(f'network    {line}')
    return 0 if all(f['up'] for f in found['brokers'] + found['controllers'] + found['zookeepers']) else 1


# --- single nodes ----------------------------------------------------------------------------------

def chosen(cluster, ids):
    if not ids:
        raise Usage('which node? 1.. brokers, c1.. controllers, z1.. ZooKeepers')
    return [cluster.node(i) for i in ids]


def end(nodes, timeout_s):
    """SIGTERM to all of them, paused ones resumed; returns those still there after timeout_s."""
    import signal
    for node in nodes:
        node.signal(signal.SIGTERM)
        node.signal(signal.SIGCONT)
    deadline = time.monotonic() + timeout_s
    return [n for n in nodes if not n.wait_gone(max(0.0, deadline - time.monotonic()))]


def stop(cluster, ids, options):
    left = end(chosen(cluster, ids), options.get('--timeout', 60.0))
    if left:
        raise Trouble(f'{" ".join(n.id for n in left)} did not end in time: scripts/cluster kill')


def kill(cluster, ids, _options):
    import signal
    nodes = chosen(cluster, ids)
    for node in nodes:
        node.signal(signal.SIGKILL)
    left = [n for n in nodes if not n.wait_gone(60)]
    if left:
        raise Trouble(f'{" ".join(n.id for n in left)} did not end')


def start(cluster, ids, _options):
    for node in chosen(cluster, ids):
        node.start()


def signal_each(cluster, ids, number, letters):
    for node in chosen(cluster, ids):
        if not node.signal(number):
            raise Trouble(f'{node.id} does not run')
        wait_until(node.id, lambda n=node: None if (n.process()[1] in letters) else 'signalled', 10, 0.002)


def pause(cluster, ids, _options):
    import signal
    signal_each(cluster, ids, signal.SIGSTOP, ('T', 't', ''))


def resume(cluster, ids, _options):
    import signal
    signal_each(cluster, ids, signal.SIGCONT, ('R', 'S', 'D', 'I', ''))


def log(cluster, ids, options):
    for node in chosen(cluster, ids):
        if not os.path.exists(node.log):
            raise Trouble(f'{node.id} has said nothing yet')
        lines, follow = options.get('-n'), options.get('-f') or options.get('--follow')
        tail = ['tail', '-n', '+1' if lines is None else str(lines)] + (['-F'] if follow else []) + [node.log]
        if follow:
            os.execvp('tail', tail)
        import subprocess
        subprocess.run(tail, check=False)


def network(cluster):
    if not cluster.net or not cluster.net.process()[0]:
        raise Trouble('the nodes share the loopback: scripts/cluster up --netns gives each a network of its own')
    return cluster.net


def cut(cluster, ids, options):
    node = chosen(cluster, ids[:1])[0]
    network(cluster).between([node.id], ids[1:], 'cut=1', options.get('--one-way'))


def slow(cluster, ids, options):
    node = chosen(cluster, ids[:1])[0]
    rule = [f'delay={options["--delay"] * 1000:.0f}'] if '--delay' in options else []
    rule += [f'jitter={options["--jitter"] * 1000:.0f}'] if '--jitter' in options else []
    rule += [f'loss={options["--loss"] * 10000:.0f}'] if '--loss' in options else []
    if not rule:
        raise Usage('how? --delay MS, --jitter MS, --loss PERCENT')
    network(cluster).between([node.id], ids[1:], ' '.join(rule), options.get('--one-way'))


def mend(cluster, _ids, _options):
    network(cluster).order('mend')


def down(cluster, _ids, options):
    """Brokers first, while controllers can move their leaders; ZooKeeper last."""
    import signal
    timeout_s = options.get('--timeout', 30.0)
    if cluster.net and cluster.net.process()[0]:
        cluster.net.order('mend')  # nor can they while they are cut off
    for kind in (BROKER, CONTROLLER, ZOOKEEPER):
        nodes = cluster.nodes(kind)
        if kind == BROKER:  # they cannot leave in order while those they talk to are paused
            for other in cluster.nodes():
                other.signal(signal.SIGCONT)
        for node in end(nodes, timeout_s):
            say(f'{node.id} did not end within {timeout_s:.0f} s of SIGTERM: killed')
            node.signal(signal.SIGKILL)
            node.wait_gone(60)
    if cluster.net:
        cluster.net.signal(signal.SIGTERM)
        cluster.net.wait_gone(10)


def clean(cluster, ids, options):
    import shutil
    down(cluster, ids, options)
    if not cluster.settings.recorded:
        return
    with cluster.lock():
        for kind, most in LIMITS.items():  # also nodes of an earlier, larger cluster
            for index in range(1, most + 1):
                name = {BROKER: '', CONTROLLER: 'c', ZOOKEEPER: 'z'}[kind] + str(index)
                shutil.rmtree(os.path.join(cluster.dir, name), ignore_errors=True)
        shutil.rmtree(os.path.join(cluster.dir, 'net'), ignore_errors=True)
        os.unlink(cluster.settings.path)
        os.unlink(os.path.join(cluster.dir, 'lock'))
    try:
        os.rmdir(cluster.dir)
    except OSError:
        pass  # something else lives there, or it is somebody's mount


VERBS = {'up': up, 'down': down, 'status': status, 'stop': stop, 'kill': kill, 'start': start, 'pause': pause,
         'resume': resume, 'log': log, 'cut': cut, 'slow': slow, 'mend': mend, 'clean': clean}


def main():
    try:
        verb, ids, options = parse(sys.argv[1:])
        if verb == 'help' or options.get('--help') or options.get('-h'):
            print(HELP, end='')
            return 0
        if verb not in VERBS:
            raise Usage(f'unknown verb {verb}: {" ".join(VERBS)}')
        cluster = Cluster(options.get('--dir', os.path.join(ROOT, 'run')))
        return VERBS[verb](cluster, ids, options) or 0
    except Usage as wrong:
        say(f'scripts/cluster: {wrong}; scripts/cluster help says more')
        return 2
    except Trouble as wrong:
        say(f'scripts/cluster: {wrong}')
        return 1
    except KeyboardInterrupt:
        say('\ninterrupted; what has been started goes on, scripts/cluster down ends it')
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as wrong:
        say(f'scripts/cluster: {wrong.filename or "the machine"}: {wrong.strerror or wrong}')
        return 1


if __name__ == '__main__':
    sys.exit(main())
