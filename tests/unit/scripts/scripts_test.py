"""scripts: that the layer rules bite where they should and nowhere else, that shape finds what it claims to find, and
that the local cluster reads servers' answers, whole or torn, and command lines as promised."""
import importlib.machinery
import importlib.util
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'scripts', 'lib'))

import cluster  # noqa: E402
import cluster_nodes  # noqa: E402
import cluster_probe  # noqa: E402
import cluster_process  # noqa: E402
import suite  # noqa: E402


def script(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(ROOT, 'scripts', name))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Layers(unittest.TestCase):
    def setUp(self):
        self.lint = script('lint_layers')
        self.table = self.lint.Table(os.path.join(ROOT, 'scripts', 'layers'))

    def wrong(self, path, name, system=False):
        return self.lint.judge(self.table, path, name, system) or ''

    def test_downwards_and_within_a_folder_is_fine(self):
        self.assertEqual(self.wrong('broker/log/log.c', 'broker/log/segment.h'), '')
        self.assertEqual(self.wrong('broker/log/clean/cleaner.c', 'broker/log/log.h'), '')
        self.assertEqual(self.wrong('broker/replica/part.c', 'broker/log/log.h'), '')
        self.assertEqual(self.wrong('broker/api/produce.c', 'gen/wire/produce.h'), '')
        self.assertEqual(self.wrong('broker/main.c', 'broker/broker.h'), '')

    def test_upwards_and_sideways_is_not(self):
        self.assertIn('downwards', self.wrong('common/base/arena.c', 'common/io/disk.h'))
        self.assertIn('downwards', self.wrong('broker/log/log.c', 'broker/net/conn.h'))
        self.assertIn('downwards', self.wrong('broker/group/groups.c', 'broker/txn/txns.h'))
        self.assertIn('downwards', self.wrong('common/model/tp.c', 'gen/control.pb-c.h'))

    def test_broker_and_controller_never_meet_but_by_name(self):
        self.assertIn('never includes', self.wrong('controller/shell/load.c', 'broker/tables/conf.h'))
        self.assertIn('never includes', self.wrong('broker/control/seek.c', 'controller/core/core.h'))
        self.assertIn('never includes', self.wrong('controller/cli/cmd_dump.c', 'broker/net/conn.h'))
        self.assertEqual(self.wrong('controller/cli/cmd_dump.c', 'broker/log/log.h'), '')

    def test_a_core_includes_nothing_that_waits_or_chances(self):
        core = 'broker/replica/part_core.c'
        for name in ('common/base/lock.h', 'common/base/clock.h', 'common/base/rand.h', 'broker/log/log.h'):
            self.assertIn('in a core', self.wrong(core, name))
        for name in ('common/base/arena.h', 'common/model/tp.h', 'gen/wire/fetch.h', 'broker/log/epochs.h'):
            self.assertEqual(self.wrong(core, name), '')
        self.assertIn('decides', self.wrong(core, 'sys/socket.h', True))
        self.assertEqual(self.wrong(core, 'string.h', True), '')

    def test_a_library_is_known_to_its_folder(self):
        self.assertIn('only', self.wrong('broker/log/log.c', 'event2/event.h', True))
        self.assertEqual(self.wrong('common/io/reactor.c', 'event2/event.h', True), '')

    def test_nothing_includes_tests(self):
        self.assertIn('tests', self.wrong('broker/log/log.c', 'tests/kit/unit.h'))


class Shape(unittest.TestCase):
    def found(self, path, text):
        shape = script('lint_shape')
        with tempfile.TemporaryDirectory() as root:
            shape.ROOT = root
            for name, content in ((path, text), (path[:-2] + '.h', '')) if path.endswith('.c') else ((path, text),):
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as file:
                    file.write(content)
            return ' '.join(wrong for _, wrong in shape.judge(path))

    def test_a_good_header_passes(self):
        good = '/* x - for what */\n#ifndef COMMON_BASE_X_H\n#define COMMON_BASE_X_H\n#endif\n'
        self.assertEqual(self.found('common/base/x.h', good), '')

    def test_each_fault_is_named(self):
        self.assertIn('comment', self.found('common/x.h', '#ifndef COMMON_X_H\n#define COMMON_X_H\n#endif\n'))
        self.assertIn('guard', self.found('common/x.h', '/* x */\n#ifndef X_H\n#define X_H\n#endif\n'))
        self.assertIn('own header', self.found('common/x.c', '#include <stdio.h>\n'))
        self.assertIn('full path', self.found('common/x.c', '#include "x.h"\n'))
        self.assertIn('lines', self.found('common/x.c', '#include "common/x.h"\n' + '\n' * 900))
        self.assertIn('columns', self.found('common/x.c', '#include "common/x.h"\n/*' + 'x' * 99 + '*/\n'))
        self.assertIn('finish', self.found('common/x.c', '#include "common/x.h"\n/* TO' + 'DO */\n'))
        self.assertIn('top level', self.found('notes/x.md', ''))


class Probe(unittest.TestCase):
    def test_metadata_is_read_when_whole_and_not_before(self):
        body = struct.pack('>ii', 1, 2)
        for broker, rack in ((1, struct.pack('>h', -1)), (7, struct.pack('>h', 1) + b'r')):
            body += struct.pack('>ih', broker, 1) + b'h' + struct.pack('>i', 9092) + rack
        body += struct.pack('>ii', 1, 0)
        whole = struct.pack('>i', len(body)) + body
        for cut in range(len(whole)):
            self.assertIsNone(cluster_probe.metadata_brokers(whole[:cut], False))
        self.assertEqual(cluster_probe.metadata_brokers(whole, False), {1, 7})

    def test_the_active_controller_is_who_holds_the_node(self):
        dump = (b'SessionTracker dump:\nephemeral nodes dump:\nSessions with Ephemerals (2):\n'
                b'0x10:\n\t/k/controllers/ids/3001\n0x11:\n\t/k/controller\n\t/k/controllers/ids/3002\n'
                b'Connections dump:\n')
        sessions = cluster_probe.zookeeper_ephemerals(dump, True)
        self.assertEqual(cluster_probe.active_controller([None, sessions], '/k'), 3002)
        self.assertIsNone(cluster_probe.active_controller([sessions], ''))
        stale = cluster_probe.zookeeper_ephemerals(dump.replace(b'3002', b'3003'), True)
        self.assertEqual(cluster_probe.active_controller([stale, None, sessions, sessions], '/k'), 3002)
        self.assertIsNone(cluster_probe.zookeeper_ephemerals(dump, False))

    def test_silent_servers_together_cost_one_time_out(self):
        servers = []
        for _ in range(8):
            server = socket.create_server(('127.0.0.1', 0))
            self.addCleanup(server.close)
            servers.append(server.getsockname()[1])
        start = time.monotonic()
        answers = cluster_probe.ask([(('127.0.0.1', p), b'x', lambda got, ended: None) for p in servers], 0.1)
        self.assertLess(time.monotonic() - start, 0.5)
        self.assertEqual(answers, [(True, None)] * 8)

    def test_an_answer_in_pieces_is_an_answer(self):
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)

        def serve():
            conn = server.accept()[0]
            conn.recv(4)
            for piece in (b'Zook\nMo', b'de: standalone\n'):
                conn.sendall(piece)
            conn.close()
        thread = threading.Thread(target=serve)
        thread.start()
        answers = cluster_probe.ask([(server.getsockname(), b'srvr', cluster_probe.zookeeper_serves)], 5)
        thread.join()
        self.assertEqual(answers, [(True, True)])


class LocalCluster(unittest.TestCase):
    def test_options_stand_anywhere(self):
        verb, ids, options = cluster.parse(['--dir', 'd', 'kill', '1', '--port-base=7', 'c1'])
        self.assertEqual((verb, ids, options['--dir'], options['--port-base']), ('kill', ['1', 'c1'], 'd', 7))
        self.assertEqual(cluster.parse(['up', '--set', 'a=b=c', '--set=d=e'])[2]['--set'], ['a=b=c', 'd=e'])
        for wrong in (['up', '--dir'], ['up', '--what'], ['up', '--brokers', 'many']):
            with self.assertRaises(cluster.Usage):
                cluster.parse(wrong)

    def test_ports_are_those_of_the_documents(self):
        with tempfile.TemporaryDirectory() as folder:
            local = cluster_nodes.Cluster(folder)
            local.settings.recorded = True
            local.settings.values.update(zookeepers=3)
            ports = {n.id: n.ports() for n in local.nodes()}
            self.assertEqual((ports['1'], ports['3']), ([9092, 9392], [9094, 9394]))
            self.assertEqual((ports['c1'], ports['z2']), ([9190, 9490], [2182, 2889, 3889]))
            local.settings.values.update(port_base=20000)
            ports = {n.id: n.ports() for n in local.nodes()}
            self.assertEqual((ports['1'], ports['c2']), ([20001, 20101], [20052, 20152]))
            self.assertEqual(ports['z1'], [20081, 20181, 20191])

    def test_settings_follow_the_size_and_what_is_set_wins(self):
        with tempfile.TemporaryDirectory() as folder:
            local = cluster_nodes.Cluster(folder)
            local.settings.recorded = True
            local.settings.values.update(brokers=1, set=[['log.dirs', 'a, b'], ['num.partitions', '4']])
            text = local.node('1').properties()
            self.assertIn('offsets.topic.replication.factor=1\n', text)
            self.assertIn('transaction.state.log.min.isr=1\n', text)
            self.assertIn('num.partitions=4\n', text)
            self.assertEqual(local.node('1').data(), os.path.join(folder, '1', 'a'))
            self.assertIn('num.partitions=4\n', local.node('c1').properties())

    def test_a_pid_used_again_is_a_stranger(self):
        with tempfile.TemporaryDirectory() as folder:
            local = cluster_nodes.Cluster(folder)
            local.settings.recorded = True
            node = local.node('1')
            os.makedirs(node.dir)
            own = cluster_process.process_stat(os.getpid())[1]
            for start, pid in ((own, os.getpid()), (str(int(own) - 1), 0)):
                cluster_process.write_file(node.pid_file, f'{os.getpid()} {start} {cluster_process.boot_id()}\n')
                self.assertEqual(node.process()[0], pid)


    def test_a_process_is_there_until_its_last_thread_has_ended(self):
        """A JVM that was killed is a zombie first, whose other threads still hold ports and files."""
        code = ('import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start();'
                'ctypes.CDLL(None).pthread_exit(None)')
        with tempfile.TemporaryDirectory() as folder, subprocess.Popen([sys.executable, '-c', code]) as child:
            try:
                local = cluster_nodes.Cluster(folder)
                local.settings.recorded = True
                node = local.node('1')
                os.makedirs(node.dir)
                start = cluster_process.process_stat(child.pid)[1]
                cluster_process.write_file(node.pid_file, f'{child.pid} {start} {cluster_process.boot_id()}\n')
                end = time.monotonic() + 20
                while cluster_process.process_stat(child.pid)[0] != 'Z' and time.monotonic() < end:
                    time.sleep(0.01)
                self.assertEqual(node.process(), (child.pid, 'Z'))
                self.assertFalse(node.wait_gone(0))
            finally:
                child.kill()
            self.assertTrue(node.wait_gone(20))
            self.assertEqual(node.process()[0], 0)


class SettingsPage(unittest.TestCase):
    def test_every_setting_is_on_its_page(self):
        for program in ('broker', 'controller'):
            page = subprocess.run([os.path.join(ROOT, 'scripts', 'conf_doc'), program], check=True, capture_output=True,
                                  text=True).stdout
            with open(os.path.join(ROOT, program, 'tables', 'conf.def'), encoding='utf-8') as table:
                rows = [line for line in table if line.startswith('CONF(') and ', HIDDEN, ' not in line]
            self.assertEqual(len(rows), page.count('\n| `'), program)
            for row in rows:
                self.assertIn(f'| `{row.split(chr(34))[1]}` |', page)

    def test_bounds_and_choices_are_told(self):
        page = subprocess.run([os.path.join(ROOT, 'scripts', 'conf_doc'), 'broker'], check=True, capture_output=True,
                              text=True).stdout
        self.assertIn('| `log.segment.bytes` | `1073741824` | whole number from 14 |', page)
        self.assertIn('| `say.format` | `text` | text, json |', page)


class Counting(unittest.TestCase):
    def test_the_last_count_counts(self):
        count = suite.last_count('1 passed, 0 failed\nnoise\n3 passed, 2 failed, 4 skipped\n')
        self.assertEqual((count.passed, count.failed, count.skipped), (3, 2, 4))
        self.assertIsNone(suite.last_count('all went well\n'))


if __name__ == '__main__':
    unittest.main()
