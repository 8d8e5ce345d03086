"""kit/history: every kind of contradiction is seen when it is there, and nothing is seen in a history that is sound."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit.history import ABORTED, ACKED, FAILED, UNKNOWN, Fault, History, Read, Write  # noqa: E402


def sound(writes=6):
    """One producer, one partition, all acknowledged at their offsets, all read; and the log."""
    history, log = History(), []
    for n in range(writes):
        history.writer("p").append(Write("p", n, 0, n, n + 0.5, ACKED, n))
        log.append((n, f"p:0:{n}:"))
    for offset, value in log:
        history.reader("c").append(Read("c", 0, offset, value, offset + 1))
    return history, log


def kinds(history, log, exactly_once=("p",)):
    return sorted({c.kind for c in history.judge({0: log}, exactly_once)})


class TestHistory(unittest.TestCase):
    def test_a_sound_history_is_explained(self):
        self.assertEqual(kinds(*sound()), [])

    def test_what_was_not_answered_may_be_there_or_not(self):
        history, log = sound()
        history.writer("p").append(Write("p", 6, 0, 6.0))
        self.assertEqual(kinds(history, log), [])
        self.assertEqual(kinds(history, log + [(6, "p:0:6:")]), [])

    def test_an_acknowledged_write_that_is_gone_is_lost(self):
        history, log = sound()
        history.reads.clear()
        self.assertEqual(kinds(history, log[:-1]), ["lost"])

    def test_what_was_aborted_is_in_the_log_or_not_and_shown_to_nobody(self):
        history, log = sound()
        history.writer("p")[2].outcome = ABORTED
        self.assertEqual(kinds(history, log), ["aborted read"])
        del history.reader("c")[2]
        self.assertEqual(kinds(history, log), [])
        self.assertEqual(kinds(history, log[:2] + log[3:]), [])

    def test_an_acknowledged_write_elsewhere_has_moved(self):
        history, log = sound()
        history.reads.clear()
        log[4], log[5] = (4, log[5][1]), (5, log[4][1])
        self.assertEqual(kinds(history, log), ["disorder", "moved"])

    def test_twice_is_a_duplicate_only_where_that_is_promised(self):
        history, log = sound()
        log.append((6, "p:0:5:"))
        self.assertEqual(kinds(history, log), ["duplicate"])
        self.assertEqual(kinds(history, log, exactly_once=()), [])

    def test_order_is_that_of_the_producer(self):
        history, log = sound()
        for write in history.writer("p"):
            write.outcome = UNKNOWN
        history.reads.clear()
        log[1], log[2] = (1, log[2][1]), (2, log[1][1])
        self.assertEqual(kinds(history, log), ["disorder"])

    def test_what_nobody_wrote_or_what_was_refused_is_a_phantom(self):
        history, log = sound()
        self.assertEqual(kinds(history, log + [(6, "q:0:0:")]), ["phantom"])
        history.writer("p").append(Write("p", 6, 0, 6.0, 6.1, FAILED))
        self.assertEqual(kinds(history, log), [])
        self.assertEqual(kinds(history, log + [(6, "p:0:6:")]), ["phantom"])

    def test_a_record_that_was_shown_and_is_not_there_is_a_dirty_read(self):
        history, log = sound()
        history.reader("c").append(Read("c", 0, 6, "p:0:99:", 7))
        self.assertEqual(kinds(history, log), ["dirty read"])

    def test_a_consumer_goes_forward_and_leaves_nothing_out(self):
        history, log = sound()
        history.reader("c").append(Read("c", 0, 2, log[2][1], 7))
        self.assertEqual(kinds(history, log), ["went back"])
        history, log = sound()
        del history.reader("c")[3]
        self.assertEqual(kinds(history, log), ["skipped"])

    def test_a_gap_in_the_log_itself_is_no_record_left_out(self):
        history, log = sound()
        log[5] = (9, log[5][1])
        history.writer("p")[5].offset = 9
        history.reader("c")[5].offset = 9
        self.assertEqual(kinds(history, log), [])

    def test_the_story_has_who_took_part_and_the_faults_that_held(self):
        history, log = sound()
        history.reads.clear()
        history.faults += [Fault("kill 1", 4.9, 5.2), Fault("long ago", 0, 1)]
        found = history.judge({0: log[:-1]}, ("p",))
        told = history.verdict(found)
        self.assertIn("1 contradictions", told)
        self.assertIn("kill 1", told)
        self.assertNotIn("long ago", told)
        self.assertEqual(len(found[0].story(history.faults)), 3)


if __name__ == "__main__":
    unittest.main()
