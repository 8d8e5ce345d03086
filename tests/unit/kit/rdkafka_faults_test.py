"""kit/rdkafka_faults: a truncation that is none is told from one."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit.rdkafka_faults import locked_up, takes_wrong_epoch  # noqa: E402

REASON = ("Partition log truncation detected at offset 163412 (leader epoch 144): broker end offset is 159361 "
          "(offset leader epoch 144). Reset to INVALID.")


class TestWrongEpoch(unittest.TestCase):
    def test_a_position_that_has_an_epoch_from_before_its_last_record_is_wrong(self):
        self.assertTrue(takes_wrong_epoch(REASON, 163412, 149))

    def test_a_truncation_in_the_epoch_of_the_last_record_is_one(self):
        self.assertFalse(takes_wrong_epoch(REASON, 163412, 144))

    def test_what_is_said_of_another_place_or_of_another_thing_is_believed(self):
        self.assertFalse(takes_wrong_epoch(REASON, 163411, 149))
        self.assertFalse(takes_wrong_epoch("No epoch found less or equal", 163412, 149))


STACKS = """Thread 5 (Thread 0x7f6ff6ffb6c0 (LWP 17503) "rdk:main"):
#0  __futex_abstimed_wait_common64 (private=0, cancel=true) at ./nptl/futex-internal.c:57
#1  __pthread_cond_wait_common (abstime=0x0, clockid=0) at ./nptl/pthread_cond_wait.c:503
#2  ___pthread_cond_wait (cond=0x7f6ff6ffae60) at ./nptl/pthread_cond_wait.c:618

Thread 3 (Thread 0x7f6ff7ffd6c0 (LWP 17501) "rdk:broker2"):
#0  futex_wait (private=0, expected=2) at ../sysdeps/nptl/futex-internal.h:146
#1  ___pthread_mutex_lock (mutex=0x55e02070b080) at ./nptl/pthread_mutex_lock.c:93

Thread 2 (Thread 0x7f6ff87fe6c0 (LWP 17500) "rdk:main"):
#0  __futex_abstimed_wait_common (expected=2) at ./nptl/futex-internal.c:103
#1  ___pthread_rwlock_wrlock (rwlock=0x55e02070b0c0) at ./nptl/pthread_rwlock_wrlock.c:26
#2  0x000055e0207082d7 in ?? ()
"""


class TestLockUp(unittest.TestCase):
    def test_a_main_thread_that_waits_for_a_lock_all_the_time_is_named(self):
        self.assertEqual(locked_up(STACKS, STACKS), [17500])

    def test_one_that_waited_once_is_not(self):
        self.assertEqual(locked_up(STACKS, STACKS.replace("rwlock_wrlock", "cond_timedwait")), [])
        self.assertEqual(locked_up(STACKS, STACKS.replace("17500", "17504")), [])

    def test_without_stacks_nobody_is(self):
        self.assertEqual(locked_up("no gdb here", "no gdb here"), [])


if __name__ == "__main__":
    unittest.main()
