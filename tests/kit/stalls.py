"""How long the machine kept us from running: what a bound on time has to grant where others work too."""
import threading
import time

PAUSE = 0.005
HOPS = 4        # as many as hand a thing on: client, leader, follower, and back


class Stalls:
    """with Stalls() as stalls: ...; assert took < 0.5 + stalls.slack(). On a quiet machine that is milliseconds."""

    def __init__(self):
        self.late = []      # (when we ran, how late that was)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._main, name="stalls", daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.ending.set()
        self.thread.join()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def slack(self, since=float("-inf"), until=float("inf")):
        """Every one of those who hand a thing on may have waited as long as we did at worst."""
        return HOPS * max((late for at, late in list(self.late) if at >= since and at - late <= until), default=0)

    def _main(self):
        asleep = time.monotonic()
        while not self.ending.wait(PAUSE):
            now = time.monotonic()
            if now - asleep > 2 * PAUSE:
                self.late.append((now, now - asleep - PAUSE))
            asleep = now
