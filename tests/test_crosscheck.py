"""Every rule against pref_voting on random profiles: a short form of benchmarks/reproduce_aggregation.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import reproduce_aggregation as full  # noqa: E402

SLOW = {
    "ranked_pairs": 60,
    "river": 60,
    "kemeny": 100,
    "slater": 60,
    "banks": 60,
    "stable_voting": 100,
    "borda": 100,
}


@pytest.mark.parametrize("rule", full.methods())
@pytest.mark.filterwarnings("ignore")
def test_strict_ballots(rule):
    result = full.compare(rule, SLOW.get(rule, 300), seed=1)
    assert result["differing"] == 0, result
    assert result["tied"] > 0 or rule == "plurality_veto"


@pytest.mark.parametrize("rule", full.WEAK)
@pytest.mark.filterwarnings("ignore")
def test_weak_ballots(rule):
    result = full.compare_weak(rule, SLOW.get(rule, 150), seed=1)
    assert result["differing"] == 0, result


@pytest.mark.parametrize("rule", full.CARDINAL)
@pytest.mark.filterwarnings("ignore")
def test_rewards(rule):
    result = full.compare_rewards(rule, 200, seed=1)
    assert result["differing"] == 0 and result["tied"] > 0, result
