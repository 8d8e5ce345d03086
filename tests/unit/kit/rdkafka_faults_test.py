"""kit/rdkafka_faults: a truncation that is none is told from one."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit.rdkafka_faults import takes_wrong_epoch  # noqa: E402

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


if __name__ == "__main__":
    unittest.main()
