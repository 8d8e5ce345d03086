"""kit/stops: a program that has fallen over its stop is told from one that has ended."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit.stops import cut_short  # noqa: E402

START = "2026-11-27T04:50:45.159Z INFO  main       moldau-broker 0.1.0 starting broker=3 file=/x/server.properties"
ASKED = "2026-11-27T04:50:54.748Z INFO  main       stopping on signal=15"
ENDED = "2026-11-27T04:50:54.792Z INFO  main       stopped"
OTHER = "2026-11-27T04:50:54.760Z INFO  control    following t-0 leader=3 epoch=2 leo=0 hw=0"


class CutShort(unittest.TestCase):
    def test_a_stop_that_comes_to_its_end(self):
        self.assertEqual(cut_short([START, ASKED, OTHER, ENDED, START]), [])

    def test_a_kill_is_no_stop(self):
        self.assertEqual(cut_short([START, OTHER, START]), [])

    def test_a_process_that_fell_over_its_stop(self):
        self.assertEqual(cut_short([START, ASKED, OTHER, START, ASKED, ENDED]), [ASKED])

    def test_one_that_has_not_been_started_since(self):
        self.assertEqual(cut_short([START, ASKED, OTHER]), [ASKED])


if __name__ == "__main__":
    unittest.main()
