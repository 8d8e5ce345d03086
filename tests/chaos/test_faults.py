"""Runs of tests/chaos/run: faults of every kind lose nothing, and settings that are known to lose are seen to."""
import subprocess
import sys

import pytest

from tests.kit.cluster import ROOT

pytestmark = [pytest.mark.long, pytest.mark.moldau_only]


def run(*words, timeout=1200):
    done = subprocess.run([sys.executable, str(ROOT / "tests" / "chaos" / "run"), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)
    print(done.stdout)
    return done.returncode


def test_no_kind_of_fault_loses_anything():
    assert run("--minutes", "10") == 0


def test_acknowledgement_by_the_leader_alone_is_seen_to_lose():
    assert run("--bad", "acks1", "--only", "CutBrokerFromNodes,KillBroker", "--faults", "12") == 0


def test_unclean_election_is_seen_to_lose():
    assert run("--bad", "unclean", "--only", "KillTwoBrokers,CutBrokerFromNodes", "--faults", "30") == 0
