"""suite - the sections of scripts/test, each with its own count, and their sum as the last line.

Tests of real processes mostly wait, and leave most of the cores idle. What only computes goes on beside them meanwhile,
at a priority that takes nothing from them; its output is kept until its own section's turn.
"""
import collections
import concurrent.futures
import functools
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, 'build', 'test')
JOBS = str(os.cpu_count() or 2)

HELP = '''scripts/test [SECTION]... - installs what it needs, builds, tests; ends in `N passed, N failed`

  --lint      layers, shape, format, shell scripts, clang-tidy
  --unit      unit tests: plain, under the address and undefined-behaviour sanitizers, under the thread sanitizer
  --fuzz      any bytes at every decoder, a while for each
  --sim       seeded histories of whole simulated clusters           (MOLDAU_SIM_SEEDS=N, 2000 unless told)
  --cluster   real processes and a real ZooKeeper, kill -9
  --interop   one round of real clients of other makers
  --chaos     long runs with faults on real processes
  --all       all of these, and a longer simulation

Without a section: all but --chaos, in under half an hour on two cores. What only computes goes on beside what waits.
A section that a machine does not permit is skipped loudly and counted apart. Exit 1 on any failure, or if nothing ran.
'''


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f'{self.passed} passed, {self.failed} failed' + (f', {self.skipped} skipped' if self.skipped else '')


PLAIN = ('all', 'switch', 'sim', 'reals', 'bench')   # of the plain build, needed by what goes on at the same time
PASS, FAIL = Count(passed=1), Count(failed=1)


def skip(why):
    print(f'SKIPPED: {why}', flush=True)
    return Count(skipped=1)


def run(command, limit_s, capture=False, env=None):
    """(exit code, output if captured). Ends the command's whole process group if it takes too long or we are ended."""
    limit_s *= BESIDE_LIMIT if Beside.inside else 1
    # Beside others it stays in the session that gives way: a session of its own would be a scheduling group of its own.
    group = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=not Beside.inside,
                             preexec_fn=os.setpgrp if Beside.inside else None, text=True,
                             errors='replace', stdout=subprocess.PIPE if capture else None,
                             stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
    try:
        said = group.communicate(timeout=limit_s)[0] or ''
        return group.returncode, said
    except subprocess.TimeoutExpired:
        print(f'FAILED: not done within {limit_s} s: {" ".join(command)[:200]}', flush=True)
        return 124, ''
    finally:
        if group.poll() is None:
            for number in (signal.SIGINT, signal.SIGKILL):  # first let it end what it has started
                try:
                    os.killpg(group.pid, number)
                    group.wait(60)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass


def make(*words, limit_s=1200):
    """Builds; quiet unless it fails."""
    code, said = run(['make', f'-j{JOBS}', *words], limit_s, capture=True)
    if code != 0:
        print('\n'.join(said.rstrip().split('\n')[-60:]))
        print(f'FAILED: make {" ".join(words)}', flush=True)
    return code == 0


def last_count(said):
    """The count in the last line of the shape `N passed, N failed`, None without one."""
    found = re.findall(r'^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?', said, re.M)
    return Count(*(int(n or 0) for n in found[-1])) if found else None


def counted(command, limit_s, env=None):
    """Runs what ends in a count of its own; a run without one, or that fails without saying where, is a failure."""
    code, said = run(command, limit_s, capture=True, env=env)
    print(said.rstrip(), flush=True)
    count = last_count(said) or Count()
    if code != 0 and count.failed == 0:
        count += FAIL
    return count


# --- beside others ---------------------------------------------------------------------------------

BESIDE_LIMIT = 4   # times as long as alone


def give_way():
    """This process, and what it starts, run on the time that others leave."""
    os.setsid()
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:     # some sandboxes do not know it
        os.nice(19)
    try:
        with open('/proc/self/autogroup', 'w', encoding='ascii') as file:  # where a session counts as one, not its threads
            file.write('19')
    except OSError:
        pass


class Beside:
    """function() in a process of its own that gives way to all others; its output is kept until it is asked for."""
    inside = False      # of such a process
    running = []

    def __init__(self, function):
        self.said, self.count = tempfile.TemporaryFile('w+', errors='replace'), tempfile.TemporaryFile('w+')
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(function)
        Beside.running.append(self)

    def _child(self, function):
        code = 1
        try:
            Beside.inside, Beside.running = True, []
            give_way()
            os.dup2(self.said.fileno(), 1)
            os.dup2(1, 2)
            count = function()
            self.count.write(str(count))
            self.count.flush()
            code = 0
        except BaseException:   # whatever it is: nothing of this process may go on as if it were its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _each(self, pattern, function):
        """function(id) of all of its session that are there now."""
        for path in glob.glob(pattern):
            try:
                if os.getsid(int(os.path.basename(path))) == self.pid:
                    function(int(os.path.basename(path)))
            except OSError:
                pass

    def hurry(self):
        """It is waited for, so it gives way no more; where we may not say so, it goes on as it did."""
        for _ in range(2):  # what a task started during the first round has the priority that it had itself
            self._each('/proc/[0-9]*/task/[0-9]*',
                       lambda task: os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0)))
        try:
            with open(f'/proc/{self.pid}/autogroup', 'w', encoding='ascii') as file:
                file.write('0')
        except OSError:
            pass

    def wait(self):
        """Its (count, output), once it is done; a failure when it ended without a count."""
        self.hurry()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._each('/proc/[0-9]*', lambda pid: os.kill(pid, signal.SIGKILL))    # what it left behind
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        Beside.running.remove(self)
        with self.said, self.count:
            self.said.seek(0)
            self.count.seek(0)
            return (last_count(self.count.read()) if code == 0 else None) or FAIL, self.said.read()

    @staticmethod
    def end_all():
        for beside in Beside.running:
            os.kill(beside.pid, signal.SIGTERM)  # ours until wait(), even if it has ended
        for beside in list(Beside.running):
            beside.wait()


# --- sections ------------------------------------------------------------------------------------

def lint(_long):
    return counted(['scripts/lint', '--quick'], 300)


def tidy(_long):
    return counted(['scripts/lint', 'tidy'], 1500)


def units(san):
    """The unit tests of one flavour."""
    words = [f'SAN={san}'] if san else []
    if not make('all', 'units', *words):
        return FAIL
    folder = os.path.join('build', san or 'plain', 'unit')
    wanted = []
    for where, _, names in os.walk(os.path.join(ROOT, 'tests', 'unit')):
        wanted += [os.path.join(folder, os.path.relpath(os.path.join(where, n[:-2]), os.path.join(ROOT, 'tests/unit')))
                   for n in names if n.endswith('_test.c')]
    env = {'ASAN_OPTIONS': 'detect_stack_use_after_return=1', 'TSAN_OPTIONS': 'halt_on_error=1 second_deadlock_stack=1',
           'UBSAN_OPTIONS': 'print_stacktrace=1'}
    return counted(['scripts/run_units', *sorted(wanted)], 900, env) if wanted else skip('no unit tests')


def python_units(_long):
    """Standard library tests of what is written in Python: the generator, the scripts."""
    count = Count()
    for where, _, names in sorted(os.walk(os.path.join(ROOT, 'tests', 'unit'))):
        for name in sorted(n for n in names if n.endswith('_test.py')):
            path = os.path.relpath(os.path.join(where, name), ROOT)
            code, said = run(['/usr/bin/python3', path], 300, capture=True)
            ran = re.search(r'^Ran (\d+) tests?', said, re.M)
            bad = sum(int(n) for n in re.findall(r'(?:failures|errors)=(\d+)', said))
            skipped = sum(int(n) for n in re.findall(r'skipped=(\d+)', said))
            if code != 0 or not ran:
                print(f'{path}\n{said.rstrip()}', flush=True)
                bad = max(1, bad)
            count += Count(max(0, (int(ran[1]) if ran else 0) - bad - skipped), bad, skipped)
    return count


def permits(san):
    """Whether programs of this flavour run at all here: some kernels' address layout is more than they can take."""
    probe = os.path.join(OUT, f'probe-{san}')
    with open(probe + '.c', 'w', encoding='ascii') as file:
        file.write('int main(void) { return 0; }\n')
    built = subprocess.run(['gcc', f'-fsanitize={san}', '-o', probe, probe + '.c'], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    return built and all(subprocess.run([probe], check=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL).returncode == 0 for _ in range(5))


def build_sanitized(san):
    if permits(san):
        make('all', 'units', f'SAN={san}')


def sanitized(san):
    if not permits(san):
        return skip(f'this machine does not run programs built with -fsanitize={san}')
    return units(san)


def fuzz(long):
    """Any bytes, no crash: every program of tests/fuzz for a while, one check each; also builds all with clang."""
    if not os.path.isdir(os.path.join(ROOT, 'tests', 'fuzz')):
        return skip('no tests/fuzz')
    if not make('fuzz'):
        return FAIL
    sources = sorted(glob.glob(os.path.join(ROOT, 'tests', 'fuzz', '*_fuzz.c')))
    count = Count()
    with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
        for one in pool.map(lambda source: fuzz_one(os.path.basename(source)[:-2], 600 if long else 15), sources):
            count += one
    return count


def fuzz_one(name, seconds):
    found = os.path.join(OUT, 'fuzz', name)
    os.makedirs(found, exist_ok=True)
    code, said = run([os.path.join(ROOT, 'build', 'fuzz', name), f'-max_total_time={seconds}', '-timeout=20',
                      '-rss_limit_mb=2048', '-print_final_stats=1', f'-artifact_prefix={found}/'],
                     seconds + 120, capture=True)
    ran = re.search(r'number_of_executed_units: +(\d+)', said)
    failed = code != 0 or not ran
    end = '\n'.join(said.rstrip().split('\n')[-60:]) + '\n' if failed else ''
    print(f'{name}: {ran[1] if ran else "no"} inputs\n{end}', end='', flush=True)
    return FAIL if failed else PASS


def sim(long):
    program = os.path.join(ROOT, 'build', 'bin', 'moldau-sim')
    if not os.path.isdir(os.path.join(ROOT, 'tests', 'sim')):
        return skip('no tests/sim')
    if not make('sim'):
        return FAIL
    if not os.path.exists(program):
        return skip('no build/bin/moldau-sim')
    seeds = int(os.environ.get('MOLDAU_SIM_SEEDS', '100000' if long else '2000'))
    count = counted([program, '--stories'], 300)
    count += counted([program, '--mutations'], 300)  # what is broken on purpose must be caught
    count += counted([program, '--seeds', f'1-{seeds}', '--jobs', JOBS], 3600 if long else 300)
    return count


def venv():
    """The Python of the tests, with pinned packages; None when they cannot be installed."""
    code, said = run(['/usr/bin/python3', 'tests/kit/venv.py'], 900, capture=True)
    if code != 0:
        print(said.rstrip())
        print('FAILED: tests/requirements.txt could not be installed')
        return None
    return said.rstrip().split('\n')[-1]


def pytest(folder, limit_s, *more):
    """One folder of Python tests, counted from the report that pytest writes."""
    if not os.path.isdir(os.path.join(ROOT, folder)):
        return skip(f'no {folder}')
    if not make(*PLAIN):
        return FAIL
    python = venv()
    if not python:
        return FAIL
    report = os.path.join(OUT, os.path.basename(folder) + '.xml')
    if os.path.exists(report):
        os.unlink(report)
    code, _ = run([python, '-m', 'pytest', folder, '-q', '-ra', '--color=no',
                   f'--junitxml={report}', *more], limit_s)
    count = Count()
    try:
        for suite in xml.etree.ElementTree.parse(report).getroot().iter('testsuite'):
            total, failed, errors, skipped = (int(suite.get(k, 0)) for k in ('tests', 'failures', 'errors', 'skipped'))
            bad = failed + errors
            count += Count(max(0, total - bad - skipped), bad, skipped)
    except (OSError, xml.etree.ElementTree.ParseError):
        count += FAIL
    if code not in (0, 5) and count.failed == 0:  # 5: nothing collected
        count += FAIL
    if code == 5:
        count += skip(f'no tests in {folder}')
    return count


def cluster(long):
    return pytest('tests/cluster', 10800, '--long') if long else pytest('tests/cluster', 1200)


def interop(long):
    count = Count()
    for folder in sorted(glob.glob(os.path.join(ROOT, 'tests', 'interop', '*', 'run'))):
        count += counted([folder], 3600 if long else 300)
    count += interop_clients(long)
    return count


def interop_clients(long):
    return pytest('tests/interop', 10800, '--long') if long else pytest('tests/interop', 1200)


def chaos(_long):
    return pytest('tests/chaos', 7200, '--long')


# What is called while another section waits: `beside` is the section itself, `before` only what it can do ahead, whose
# failures show again in the section.
Section = collections.namedtuple('Section', 'name title run waits beside before', defaults=(False, False, None))
SECTIONS = [
    Section('lint', 'lint', lint),
    Section('unit', 'unit tests', lambda long: units('')),
    Section('unit', 'unit tests of the Python parts', python_units),
    Section('cluster', 'clusters of real processes', cluster, waits=True),
    Section('interop', 'clients of other makers', interop, waits=True),
    Section('lint', 'clang-tidy', tidy, beside=True),
    Section('sim', 'simulated clusters', sim, beside=True),
    Section('unit', 'unit tests, address and undefined-behaviour sanitizers', lambda long: sanitized('address'),
            before=lambda: build_sanitized('address')),
    Section('unit', 'unit tests, thread sanitizer', lambda long: sanitized('thread'),
            before=lambda: build_sanitized('thread')),
    Section('fuzz', 'any bytes, no crash (clang, address and undefined-behaviour sanitizers)', fuzz,
            before=lambda: make('fuzz')),
    Section('chaos', 'chaos', chaos)]


def start_beside(sections, long):
    """What of these can go on beside a section that waits, by title. Nothing they share is made by two at once."""
    able = [s for s in sections if s.beside or s.before]
    if not able or not make(*PLAIN):
        return {}
    return {s.title: Beside(functools.partial(s.run, long) if s.beside else s.before) for s in able}


def run_section(section, long, beside):
    print(f'\n=== {section.title}', flush=True)
    began = time.monotonic()
    count = None
    if beside:
        count, said = beside.wait()
        if section.beside:
            print(said.rstrip(), flush=True)
    if not section.beside or not beside:
        count = section.run(long)
    print(f'--- {section.title}: {count} in {time.monotonic() - began:.0f} s', flush=True)
    return count


def main():
    asked = {a[2:] for a in sys.argv[1:]}
    known = {section.name for section in SECTIONS}
    if asked - known - {'all'} or any(not a.startswith('--') for a in sys.argv[1:]):
        print(HELP, end='')
        return 0 if asked & {'help'} or '-h' in sys.argv else 2
    long = 'all' in asked
    chosen = known if long else asked or known - {'chaos'}
    os.makedirs(OUT, exist_ok=True)
    total, start, todo, beside = Count(), time.monotonic(), [s for s in SECTIONS if s.name in chosen], {}
    try:
        for i, section in enumerate(todo):
            if section.waits and not beside:
                beside = start_beside(todo[i + 1:], long)
            total += run_section(section, long, beside.get(section.title))
    finally:
        Beside.end_all()
    if total.passed + total.failed == 0:
        print('nothing ran')
    print(f'\nall sections in {time.monotonic() - start:.0f} s\n{total}', flush=True)
    return 0 if total.passed and not total.failed else 1


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
