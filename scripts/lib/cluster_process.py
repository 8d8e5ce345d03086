"""cluster_process - a process that outlives the command which started it, known by its pid file; the machine it is on.

A pid counts only together with its start time, so that a pid used again by a stranger is never signalled.
"""
import os
import select
import sys
import time


class Trouble(Exception):
    """Something the caller has to be told; ends the command with exit code 1."""


class Process:
    """What has an `id`, a `pid_file` and a `log`."""

    def process(self):
        """(pid, state letter of /proc) of the running process, (0, '') when there is none."""
        try:
            with open(self.pid_file, encoding='ascii') as file:
                pid, start, boot = file.read().split()
        except (OSError, ValueError):
            return 0, ''
        state, started = process_stat(int(pid))
        if state in ('', 'X') or started != start or boot != boot_id():
            return 0, ''
        if state == 'Z' and thread_count(int(pid)) <= 1:
            return 0, ''
        return int(pid), state

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


def thread_count(pid):
    """How many threads of a process are left. While others are, its files and ports are still open although its first
    one has ended and waits as a zombie."""
    try:
        return len(os.listdir(f'/proc/{pid}/task'))
    except OSError:
        return 0


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
