"""kit/batch: what tests conclude from the batches of a log."""
import os
import sys
import unittest
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from tests.kit.batch import epoch_ends  # noqa: E402


def of_epochs(*epochs):
    """Batches of ten records each."""
    return [SimpleNamespace(base_offset=10 * i, last_offset=10 * i + 9, leader_epoch=e) for i, e in enumerate(epochs)]


class TestEpochEnds(unittest.TestCase):
    def test_an_epoch_ends_behind_its_last_record(self):
        self.assertEqual(epoch_ends(of_epochs(0, 0, 3, 4)), {0: 20, 3: 30, 4: 40})
        self.assertEqual(epoch_ends([]), {})

    def test_epochs_that_go_back_are_seen(self):
        with self.assertRaisesRegex(ValueError, "offset 20 is of epoch 3 and comes after epoch 4"):
            epoch_ends(of_epochs(3, 4, 3))


if __name__ == "__main__":
    unittest.main()
