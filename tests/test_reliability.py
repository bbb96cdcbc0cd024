"""Planted raters are found, suspects stay pseudonymous, and evidence keeps its promises."""

import csv
import json
from itertools import permutations

import jax
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from socialrm.ballots import make_ballots
from socialrm.dishonest import click, collude, turn
from socialrm.individual import IndividualConfig
from socialrm.influence import Tallies, leaving, orders, shapley
from socialrm.pipeline import RunConfig, run
from socialrm.populations import mallows_mixture, tennessee
from socialrm.reliability import (
    SUSPECT,
    ballot_table,
    capped,
    copied,
    leave_one_out,
    left_out_ballots,
    reversal,
)
from socialrm.suspects import named
from socialrm.training import Optimisation

pytestmark = pytest.mark.trains


def test_a_run_finds_random_clickers_and_names_nobody(tmp_path):
    ballots = tennessee(300, key=jax.random.key(0)).ballots
    rng = np.random.default_rng(0)
    who = rng.permutation(300)[:30]
    spoilt = click(ballots, who, rng=rng)
    individual = IndividualConfig(optimisation=Optimisation(steps=400))
    config = RunConfig(voters=300, resamples=5, members=1, individual=individual)
    found = run(spoilt, config, out=tmp_path / "run")
    rows = named(found.raters, spoilt)
    bad = [spoilt.vocabulary.raters.index(row["id"]) in who for row in rows]
    assert roc_auc_score(bad, [-float(row["reliability"]) for row in rows]) >= 0.95
    assert sum(bad[:30]) >= 25  # the thirty least reliable
    stored = list(csv.DictReader((tmp_path / "run" / "raters.csv").read_text().splitlines()))
    assert [row["rater"] for row in stored] == [row["rater"] for row in found.raters]
    said = json.loads((tmp_path / "run" / "metrics.json").read_text())["raters"]
    assert said["suspects"] == sum(row["story"] != "honest" for row in stored)
    text = (tmp_path / "run" / "raters.csv").read_text() + (tmp_path / "run" / "report.html").read_text()
    assert "Influential raters" in text and said["influence_rule"] == "borda"
    assert said["decide_alone"] == sum(float(row["alone"]) > 0 for row in stored)
    assert not any(f'"{name}"' in text or f">{name}<" in text for name in ballots.vocabulary.raters)


def test_evidence_against_honest_raters_is_an_e_value():
    """Voters who really are Plackett-Luce: the share above 100 is below 1%, and the mean ratio near 1."""
    rng = np.random.default_rng(1)
    scored = 2 * rng.standard_normal((6, 5)).astype(np.float32)
    kind = rng.integers(6, size=20_000)
    order = np.argsort(-(scored[kind] + rng.gumbel(size=(20_000, 5))), axis=1)
    rank = np.tile(np.arange(5), (20_000, 1))
    honest = leave_one_out(ballot_table(scored, order, rank), np.full(6, -1))
    for other in (
        np.zeros(20_000) - np.log(120),
        leave_one_out(ballot_table(scored, order[:, ::-1], rank), np.full(6, -1)),
    ):
        ratio = np.exp(other - honest)
        assert (ratio > 100).mean() <= 0.01
        np.testing.assert_allclose(ratio.mean(), 1.0, atol=0.25)


def test_reversal_turns_ties_and_short_ballots():
    ballots = make_ballots([("a", "p", [["x", "y"], "z"]), ("b", "p", ["x", "y", "z", "w"])])
    other = reversal(ballots)
    np.testing.assert_array_equal(other.rank, [[0, 1, 1, -1], [0, 1, 2, 3]])
    names = [ballots.vocabulary.completions[c] for c in other.completion[0, :3]]
    assert names[0] == "z" and set(names[1:]) == {"x", "y"}
    np.testing.assert_array_equal(reversal(other).rank, ballots.rank)


def test_identical_types_are_no_copies():
    """Tennessee's raters of one type agree on everything, and the model expects it."""
    ballots = tennessee(60, key=jax.random.key(0)).ballots
    sharp = np.array(
        [
            -30.0 * np.concatenate([r[t] for r in tennessee(60, key=jax.random.key(0)).orders.values()])
            for t in range(4)
        ]
    )
    pair = ballots.completion + 4 * ballots.prompt[:, None]
    table = ballot_table(sharp.astype(np.float32), pair, ballots.rank)
    predicted = left_out_ballots(table, ballots, np.full(4, -1))
    np.testing.assert_allclose(predicted, 0.0, atol=1e-6)  # the other prompt tells the type
    evidence, _ = copied(ballots, predicted, rng=np.random.default_rng(0))
    assert (evidence < 0).all()


def scores(raters, items, levels, rng):
    """Raters who score at random in few levels: given which of them are tied, every order is as likely."""
    return np.floor(rng.standard_normal((raters, items)) * levels / 4).astype(int)


def as_ballots(told):
    """One ballot for each row of scores, tied where scores are."""
    tiers = lambda row: [[f"c{i}" for i in np.flatnonzero(row == level)] for level in np.unique(row)[::-1]]
    single = lambda tier: tier[0] if len(tier) == 1 else tier
    return make_ballots([(f"r{i:03}", "p", [single(t) for t in tiers(row)]) for i, row in enumerate(told)])


@pytest.mark.parametrize("levels", [2, 8, 50])
def test_ties_hide_no_copy_and_accuse_nobody(levels):
    """Ten of 200 raters copy another, ties and all; that the others tie is no evidence."""
    rng = np.random.default_rng(levels)
    told = scores(200, 25, levels, rng)
    told[:10] = told[10:20]
    ballots = as_ballots(told)
    table = ballot_table(np.zeros((1, 25), np.float32), ballots.completion, ballots.rank)
    evidence, source = copied(ballots, left_out_ballots(table, ballots, np.array([-1])), rng=rng)
    assert (evidence[20:] > SUSPECT).mean() <= 0.01
    if levels > 2:  # hundreds of pairs are tied there, and each costs a copy half a chance
        assert (evidence[:20] > SUSPECT).all()
        np.testing.assert_array_equal(source[:10], np.arange(10, 20))


def test_who_breaks_the_ties_of_another_is_a_copy_still():
    rng = np.random.default_rng(0)
    told = scores(60, 25, 12, rng)
    told[0] = 100 * told[1] + rng.permutation(25)  # rater 1's order, without its ties
    assert len(np.unique(told[1])) < 20
    ballots = as_ballots(told)
    plain = ballot_table(np.zeros((1, 25), np.float32), ballots.completion, ballots.rank)
    evidence, source = copied(ballots, left_out_ballots(plain, ballots, np.array([-1])), rng=rng)
    assert evidence[0] > SUSPECT and source[0] == 1
    assert (evidence[2:] < 0).all()


def test_a_group_that_the_density_has_learned_is_found_all_the_same():
    """A fifth voter, surer than all others, who says what the colluders say."""
    honest, rng = mallows_mixture(200, key=jax.random.key(0)), np.random.default_rng(0)
    ballots, where = honest.ballots, honest.ballots.contests()
    types = [np.concatenate([o[t] for o in honest.orders.values()]) for t in range(4)]
    agreed = rng.random((8, 6)).argsort(axis=1)
    grid = np.zeros((8, len(ballots.vocabulary.completions)))
    np.put_along_axis(grid, where.completion, agreed, axis=1)
    spoilt = collude(ballots, np.arange(20), agreed=grid, rng=rng)
    prompt = np.repeat(np.arange(8), 6)
    centres = np.vstack([-0.6 * np.array(types), -4.0 * agreed.ravel()]).astype(np.float32)
    pair = np.zeros(len(ballots.vocabulary.completions), int)
    pair[where.completion.ravel()] = np.arange(48)
    bad = np.arange(200) < 20

    def evidence(voters):
        table = ballot_table(voters, pair[spoilt.completion], spoilt.rank)
        left_out = left_out_ballots(table, spoilt, np.full(5, -1))
        return copied(spoilt, left_out, rng=np.random.default_rng(0))[0]

    assert not (evidence(centres)[bad] > SUSPECT).any()  # no surprise to a density that has learned them
    calm = evidence(capped(centres, prompt))
    assert (calm[bad] > SUSPECT).all() and (calm[~bad] < SUSPECT).all()


def test_a_turned_rater_is_turned_back():
    ballots = tennessee(20, key=jax.random.key(0)).ballots
    np.testing.assert_array_equal(turn(turn(ballots, [3]), [3]).completion, ballots.completion)


@pytest.mark.parametrize("rule", ["borda", "copeland", "minimax"])
def test_shapley_values_add_up(rule):
    rng = np.random.default_rng(0)
    ranks = rng.random((12, 4)).argsort(axis=1)
    watch = Tallies(np.arange(12), np.ones(12), 12)
    watch(0, ranks)
    found = shapley(watch.found, rule, permutations=5, most=12, rng=rng)
    full = orders(watch.found[0].sum(axis=0)[None], rule)[0]
    one, other = np.triu_indices(4, 1)
    np.testing.assert_allclose(found.value.sum(), 1 - (full[one] == full[other]).mean(), atol=1e-9)
    assert (found.moved >= np.abs(found.value) - 1e-9).all()


@pytest.mark.parametrize("rule", ["borda", "copeland", "schulze"])
def test_shapley_and_leaving_against_all_electorates(rule):
    """Five raters of two contests: 120 orders of arrival, and each rater left out."""
    rng = np.random.default_rng(2)
    watch = Tallies(np.arange(5), np.array([1.0, 1, 2, 1, 1]), 5)
    for contest in range(2):
        watch(contest, rng.random((5, 4)).argsort(axis=1))
    one, other = np.triu_indices(4, 1)

    def relations(some):
        if not len(some):
            return np.full((2, 6), np.nan)
        found = [orders(tally[list(some)].sum(axis=0)[None], rule)[0] for tally in watch.found]
        return np.array([np.sign(ranks[other] - ranks[one]) for ranks in found])

    everybody = relations(range(5))
    agreed = lambda some: (relations(some) == everybody).mean()
    exact = np.zeros(5)
    for arrival in permutations(range(5)):
        for place, rater in enumerate(arrival):
            exact[rater] += (agreed(arrival[: place + 1]) - agreed(arrival[:place])) / 120
    found = shapley(watch.found, rule, permutations=1_500, most=5, rng=rng)
    assert (np.abs(found.value - exact) < 5 * found.error + 1e-9).all()
    np.testing.assert_allclose(found.value, exact, atol=0.03)
    alone = [1 - agreed([r for r in range(5) if r != rater]) for rater in range(5)]
    np.testing.assert_allclose(leaving(watch.found, rule), alone)


def test_raters_who_say_the_same_have_the_same_influence():
    rng = np.random.default_rng(3)
    tally = np.repeat(rng.random((4, 3, 3)), 5, axis=0)
    found = shapley([tally], "borda", permutations=30, rng=rng)
    np.testing.assert_allclose(found.value.reshape(4, 5).std(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found.error.reshape(4, 5).std(axis=1), 0, atol=1e-12)


def test_a_rater_who_is_nobody_changes_nothing():
    rng = np.random.default_rng(0)
    tally = rng.random((8, 4, 4))
    tally[3] = 0.0
    found = shapley([tally], "borda", permutations=10, most=8, rng=rng)
    assert found.value[3] == 0 and found.moved[3] == 0
