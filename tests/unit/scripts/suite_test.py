"""scripts/lib/suite.py: that what goes on beside other sections takes no time from them, is never mixed into their
output, is counted, and leaves nothing behind."""
import contextlib
import io
import os
import signal
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'scripts', 'lib'))

import suite  # noqa: E402


def wait_until(condition):
    end = time.monotonic() + 200    # who gives way gets next to nothing where others work too
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('not within 200 s')
        time.sleep(0.01)


def state_of(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as file:
            return file.read().rsplit(')', 1)[1].split()[0]
    except OSError:
        return 'X'


def said_of(command):
    print(suite.run(command, 60, capture=True)[1].strip())
    return suite.PASS


class Besides(unittest.TestCase):
    def setUp(self):
        give_way = suite.give_way
        self.addCleanup(setattr, suite, 'give_way', give_way)
        suite.give_way = os.setsid      # but where that is the question: a busy machine would keep us waiting
        self.give_way = give_way
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.addCleanup(suite.Beside.end_all)

    def test_count_and_output_are_there_when_asked_for(self):
        def section():
            print('first')
            os.system('echo second')
            print('third', file=sys.stderr)
            return suite.Count(3, 2, 1)

        with contextlib.redirect_stdout(sys.__stdout__), contextlib.redirect_stderr(sys.__stderr__):
            count, said = suite.Beside(section).wait()
        self.assertEqual((count.passed, count.failed, count.skipped), (3, 2, 1))
        self.assertEqual(sorted(said.split()), ['first', 'second', 'third'])

    def test_no_count_is_a_failure(self):
        for section in (lambda: 1 // 0, lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)):
            count, _ = suite.Beside(section).wait()
            self.assertEqual((count.passed, count.failed), (0, 1))
        count, said = suite.Beside(lambda: 1 // 0).wait()
        self.assertIn('ZeroDivisionError', said)

    def test_gives_way_until_it_is_waited_for(self):
        before = os.sched_getscheduler(0), os.nice(0)
        suite.give_way = self.give_way
        beside, pid = self.sleeping()
        self.assertTrue(os.sched_getscheduler(pid) == os.SCHED_IDLE or os.getpriority(os.PRIO_PROCESS, pid) == 19)
        self.assertEqual(os.getsid(pid), beside.pid)    # a session of its own would count as much as all of ours
        self.assertEqual((os.sched_getscheduler(0), os.nice(0)), before)
        if os.path.exists('/proc/self/autogroup'):      # else sessions are no scheduling groups here
            with open(f'/proc/{pid}/autogroup', encoding='ascii') as file:
                self.assertRegex(file.read(), r'nice 19\s*$')
        beside.hurry()
        if os.geteuid() == 0:
            self.assertEqual(os.sched_getscheduler(pid), os.SCHED_OTHER)

    def test_ending_ends_what_it_has_started(self):
        beside, pid = self.sleeping()
        suite.Beside.end_all()
        self.assertEqual(suite.Beside.running, [])
        self.assertRaises(ChildProcessError, os.waitpid, beside.pid, os.WNOHANG)
        wait_until(lambda: state_of(pid) in 'ZX')

    def sleeping(self):
        """(one that is at work on a command, the pid of that command)."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'pid')
            beside = suite.Beside(lambda: said_of(
                ['sh', '-c', f'echo $$ >{path}.new; mv {path}.new {path}; exec sleep 600']))
            wait_until(lambda: os.path.exists(path))
            with open(path, encoding='ascii') as file:
                return beside, int(file.read())


class Order(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, suite, 'give_way', suite.give_way)
        suite.give_way = os.setsid

    def run_sections(self, *sections):
        """What is printed, without times, and the exit code."""
        known, argv, make = suite.SECTIONS, sys.argv, suite.make
        out = io.StringIO()
        try:
            suite.SECTIONS, sys.argv, suite.make = list(sections), ['suite'], lambda *_: True
            with contextlib.redirect_stdout(out):
                code = suite.main()
        finally:
            suite.SECTIONS, sys.argv, suite.make = known, argv, make
        return [line.split(' in ')[0] for line in out.getvalue().split('\n') if line], code

    def test_goes_on_meanwhile_and_prints_in_its_turn(self):
        with tempfile.TemporaryDirectory() as folder:
            done, built = os.path.join(folder, 'done'), os.path.join(folder, 'built')

            def waiting(_long):
                wait_until(lambda: os.path.exists(done) and os.path.exists(built))
                return suite.PASS

            def computing(_long):
                os.system(f'touch {done}; echo computed')
                return suite.Count(1, 1)

            lines, code = self.run_sections(
                suite.Section('a', 'waiting', waiting, waits=True),
                suite.Section('b', 'computing', computing, beside=True),
                suite.Section('c', 'late', lambda long: suite.PASS, before=lambda: os.system(f'touch {built}')))
        self.assertEqual(lines, ['=== waiting', '--- waiting: 1 passed, 0 failed', '=== computing', 'computed',
                                 '--- computing: 1 passed, 1 failed', '=== late', '--- late: 1 passed, 0 failed',
                                 'all sections', '3 passed, 1 failed'])
        self.assertEqual(code, 1)

    def test_alone_it_runs_as_any_other(self):
        lines, code = self.run_sections(suite.Section('b', 'computing', lambda long: suite.PASS, beside=True))
        self.assertEqual(lines, ['=== computing', '--- computing: 1 passed, 0 failed', 'all sections',
                                 '1 passed, 0 failed'])
        self.assertEqual(code, 0)

    def test_every_section_is_still_there(self):
        self.assertEqual(sorted({s.name for s in suite.SECTIONS}),
                         ['chaos', 'cluster', 'fuzz', 'interop', 'lint', 'sim', 'unit'])
        self.assertEqual(len({s.title for s in suite.SECTIONS}), 11)


if __name__ == '__main__':
    unittest.main()
