"""kit/readers: a program that reads is taken at its word, and its end or its silence is a finding."""
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit import readers  # noqa: E402
from tests.kit.history import History  # noqa: E402

SHOWS = "printf '0 0 a:0:0:...\\n1 0 a:1:0:\\n0 1 a:0:1:.\\n'; "


class Nowhere:
    bootstrap = "nowhere:9092"


class TestProgramReader(unittest.TestCase):
    def begin(self, script):
        self.history = History()
        return readers.ProgramReader(self.history, "r", Nowhere, "t", 2, ["sh", "-c", script]).start()

    def test_what_it_shows_is_noted_until_all_is_read(self):
        self.begin(SHOWS + "exec sleep 60").stop({0: 2, 1: 1})
        self.assertEqual(self.history.fatal, [])
        self.assertEqual([(r.partition, r.offset, r.value) for r in self.history.reads["r"]],
                         [(0, 0, "a:0:0:"), (1, 0, "a:1:0:"), (0, 1, "a:0:1:")])

    def test_one_that_ends_is_a_finding_with_its_last_words(self):
        reader = self.begin(SHOWS + "echo 'offset out of range' >&2; exit 1")
        reader.stop({0: 3, 1: 1})
        self.assertIn("r: has ended\noffset out of range", self.history.fatal)
        self.assertEqual(reader.next, {0: 2, 1: 1})

    def test_a_line_that_is_cut_off_by_its_end_is_no_record(self):
        reader = self.begin("printf '0 0 a:0:0:\\n0 1 a:0'")
        reader.stop({0: 2, 1: 0})
        self.assertEqual(reader.next, {0: 1, 1: 0})

    def test_one_that_is_shown_nothing_any_more_is_asked_where_it_is(self):
        with mock.patch.object(readers, "STUCK_S", 0.5):
            reader = self.begin("trap 'echo in the lock >&2; exit 2' ABRT; while :; do sleep 0.1; done")
            reader.thread.join(60)
        self.assertEqual(self.history.fatal, ["r: is shown nothing any more, at {0: 0, 1: 0}\nin the lock"])

    def test_silence_is_no_finding_while_nobody_writes(self):
        with mock.patch.object(readers, "STUCK_S", 0.5), mock.patch.object(readers, "END_S", 3):
            reader = self.begin("exec sleep 60")
            reader.fed = False
            reader.thread.join(2)
            self.assertEqual(self.history.fatal, [])
            reader.stop({0: 0, 1: 0})
        self.assertEqual(self.history.fatal, [])


if __name__ == "__main__":
    unittest.main()
