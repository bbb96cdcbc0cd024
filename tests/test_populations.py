"""Populations come in the shares that they promise, with the gaps that they promise."""

import itertools
import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socialrm.drawing import Gap, from_types, largest_remainder
from socialrm.populations import (
    CAPITAL,
    POPULATIONS,
    WORST,
    distortion,
    inverted_missing,
    inverted_partial,
    mallows_mixture,
    missing_completion,
    morristown,
    pairwise_twins,
    second_prompt,
    spatial,
    tennessee,
)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda s: sum(s) > 0.01), st.integers(0, 5_000)
)
def test_largest_remainder_sums_and_stays_within_one_of_the_quota(shares, n):
    seats = largest_remainder(shares, n)
    assert seats.sum() == n
    assert (np.abs(seats - np.array(shares) / sum(shares) * n) < 1 + 1e-6).all()


@pytest.mark.parametrize("shares", [[-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_shares_that_are_none(shares):
    with pytest.raises(ValueError, match="must be finite, not negative"):
        largest_remainder(shares, 10)


def rated(population, prompt):
    """Per type, how many raters have a ballot on the prompt."""
    has = (population.ballots.profile(prompt) >= 0).any(1)
    return np.bincount(population.type_of[has], minlength=len(population.types))


@pytest.mark.parametrize("name", POPULATIONS)
def test_same_key_same_raters_and_truth_is_complete(name):
    first, again = (POPULATIONS[name](200, key=jax.random.key(3)) for _ in range(2))
    for a, b in zip(jax.tree.leaves(first.ballots), jax.tree.leaves(again.ballots)):
        np.testing.assert_array_equal(a, b)
    contests = first.complete.contests()
    assert first.complete.n_ballots == 200 * len(contests)
    assert (first.complete.mask.sum(1) == contests.mask.sum(1)[first.complete.prompt]).all()
    assert first.ballots.vocabulary.raters == first.complete.vocabulary.raters


@pytest.mark.parametrize("name", [n for n in POPULATIONS if n not in ("mallows_mixture", "spatial")])
def test_raters_vote_as_their_type(name):
    population = POPULATIONS[name](200, key=jax.random.key(0))
    for prompt, orders in population.orders.items():
        np.testing.assert_array_equal(population.complete.profile(prompt), orders[population.type_of])


@pytest.mark.parametrize("name", POPULATIONS)
def test_what_was_given_agrees_with_the_truth(name):
    thin = {"places_per_ballot": 3, "ballots_per_rater": 2} if name in ("mallows_mixture", "spatial") else {}
    population = POPULATIONS[name](60, key=jax.random.key(0), **thin)
    prompts = population.ballots.vocabulary.prompts
    for prompt in (prompts[p] for p in population.ballots.contests().prompt):
        gave, truth = population.ballots.profile(prompt), population.complete.profile(prompt)
        for mine, all_of_it in zip(gave, truth):
            order = np.argsort(all_of_it[mine >= 0])
            np.testing.assert_array_equal(mine[mine >= 0][order], np.arange((mine >= 0).sum()))


def test_tennessee_shares_and_inverse():
    population = tennessee(key=jax.random.key(0))
    np.testing.assert_array_equal(np.bincount(population.type_of), [840, 520, 300, 340])
    np.testing.assert_array_equal(population.shares, [0.42, 0.26, 0.15, 0.17])
    assert population.orders[CAPITAL].tolist() == [[0, 1, 2, 3], [3, 0, 1, 2], [3, 2, 0, 1], [3, 2, 1, 0]]
    np.testing.assert_array_equal(population.orders[WORST], 3 - population.orders[CAPITAL])
    assert tennessee(10, key=jax.random.key(0), inverse=False).ballots.vocabulary.prompts == (CAPITAL,)


def test_raters_are_shuffled():
    assert (np.diff(tennessee(key=jax.random.key(0)).type_of) != 0).sum() > 500


def test_multinomial_draw_misses_the_shares_by_what_the_draw_costs():
    misses = []
    for seed in range(20):
        shares = tennessee(key=jax.random.key(seed), draw="multinomial").shares
        misses.append(0.5 * np.abs(shares - [0.42, 0.26, 0.15, 0.17]).sum())
    assert 0.005 < np.mean(misses) < 0.03, np.mean(misses)


@pytest.mark.parametrize("shares", [(0.30, 0.25, 0.15, 0.30), (0.25,) * 4])
def test_morristown_quota_by_type(shares):
    population = morristown(key=jax.random.key(0), shares=shares)
    ranks = population.ballots.profile(CAPITAL)[:, -1] >= 0
    counts = np.bincount(population.type_of)
    np.testing.assert_array_equal(
        np.bincount(population.type_of[ranks]), np.round(counts * np.array([0.9, 0.1, 0.1, 0.1])).astype(int)
    )
    complete = morristown(key=jax.random.key(0), shares=shares, included=None)
    np.testing.assert_array_equal(complete.ballots.rank, complete.complete.rank)


def borda(ranks):
    """Mean number of candidates below each one, for complete strict ranks."""
    return (ranks.shape[1] - 1 - ranks).mean(0)


@pytest.mark.parametrize(
    ("shares", "above"),
    [((0.30, 0.25, 0.15, 0.30), True), ((0.25,) * 4, True), ((0.42, 0.26, 0.15, 0.17), False)],
)
def test_complete_borda_puts_morristown_above_memphis_at_these_shares(shares, above):
    memphis, *_, last = borda(morristown(key=jax.random.key(0), shares=shares).complete.profile(CAPITAL))
    assert (last > memphis) == above


def test_inverted_prompts():
    np.testing.assert_array_equal(rated(inverted_partial(key=jax.random.key(0)), WORST), [700, 100, 100, 99])
    np.testing.assert_array_equal(rated(inverted_missing(key=jax.random.key(0)), WORST), [400, 0, 200, 150])
    np.testing.assert_array_equal(
        rated(inverted_missing(key=jax.random.key(0), unseen="Memphis"), WORST), [0, 250, 200, 150]
    )
    np.testing.assert_array_equal(
        rated(inverted_missing(key=jax.random.key(0)), CAPITAL), [800, 500, 400, 300]
    )
    with pytest.raises(ValueError, match="give one of Memphis"):
        inverted_missing(key=jax.random.key(0), unseen="Atlanta")


def test_missing_completion():
    population = missing_completion(key=jax.random.key(0))
    for prompt, expected in ((CAPITAL, [840, 520, 300, 0]), (WORST, [840, 520, 300, 340])):
        ranks = population.ballots.profile(prompt)[:, -1] >= 0
        np.testing.assert_array_equal(np.bincount(population.type_of[ranks], minlength=4), expected)


def test_relabelling_is_common_to_all_types_and_unrelated_is_not():
    relabelled = second_prompt(key=jax.random.key(0)).orders
    places = {tuple(b[np.argsort(a)].tolist()) for a, b in zip(relabelled[CAPITAL], relabelled[WORST])}
    back = relabelled[WORST].argsort(1)
    moves = {tuple(back[t][relabelled[CAPITAL][t]].tolist()) for t in range(4)}
    assert len(moves) == 1 and len(places) > 1
    drawn = [second_prompt(key=jax.random.key(s), effect="unrelated").orders[WORST] for s in range(4)]
    assert len({d.tobytes() for d in drawn}) == 4
    with pytest.raises(ValueError, match="'relabelled' or 'unrelated'"):
        second_prompt(key=jax.random.key(0), effect="x")


def test_distortion_elects_the_bad_candidate():
    population = distortion(key=jax.random.key(0))
    scores = borda(population.complete.profile("choose"))
    utility = population.shares @ population.utilities["choose"]
    assert scores.argmax() == 0 and utility.argmax() == 4
    np.testing.assert_allclose(scores[[0, 4]], [3.25, 3.0])
    np.testing.assert_allclose(utility[0], -0.5, atol=1e-3)
    np.testing.assert_array_equal(
        population.utilities["choose"].argsort(1)[:, ::-1].argsort(1), population.orders["choose"]
    )


def test_twins_share_every_pair_and_no_order():
    one, other = pairwise_twins(key=jax.random.key(0))
    assert one.ballots.vocabulary.completions == other.ballots.vocabulary.completions == tuple("ABCD")
    above = [
        (r[:, :, None] < r[:, None, :]).mean(0)
        for r in (one.complete.profile("choose"), other.complete.profile("choose"))
    ]
    np.testing.assert_array_equal(*above)
    orders = [{tuple(r) for r in p.complete.profile("choose").tolist()} for p in (one, other)]
    assert not orders[0] & orders[1]


def test_mallows_orders_have_the_models_probabilities():
    """Probability phi^distance / Z, Z = prod (1 - phi^j) / (1 - phi) (Mallows 1957)."""
    phi = 0.5
    population = mallows_mixture(
        20_000, key=jax.random.key(0), phi=phi, prompts=1, completions=3, shares=(1.0,)
    )
    centre = population.orders["prompt 0"][0]
    ranks = population.complete.profile("prompt 0")
    normaliser = math.prod((1 - phi**j) / (1 - phi) for j in range(1, 4))
    for order in itertools.permutations(range(3)):
        distance = sum(
            (order[i] - order[j]) * (centre[i] - centre[j]) < 0
            for i, j in itertools.combinations(range(3), 2)
        )
        share = (ranks == order).all(1).mean()
        assert abs(share - phi**distance / normaliser) < 0.012, (order, share)


def test_mallows_centres_stay_when_the_key_changes():
    one, other = (mallows_mixture(50, key=jax.random.key(s)) for s in (0, 1))
    assert all((one.orders[p] == other.orders[p]).all() for p in one.orders)
    assert (one.complete.completion != other.complete.completion).any()
    sharp = mallows_mixture(50, key=jax.random.key(0), phi=0.0)
    for prompt, centres in sharp.orders.items():
        np.testing.assert_array_equal(sharp.complete.profile(prompt), centres[sharp.type_of])


@pytest.mark.parametrize("made", [mallows_mixture, spatial])
def test_thinning(made):
    population = made(40, key=jax.random.key(0), ballots_per_rater=3, places_per_ballot=4)
    assert (np.bincount(population.ballots.rater) == 3).all()
    assert (population.ballots.mask.sum(1) == 4).all()
    assert len(population.ballots.vocabulary.completions) == 48
    with pytest.raises(ValueError, match="9 ballots a rater"):
        made(40, key=jax.random.key(0), ballots_per_rater=9)


def test_spatial_raters_rank_by_distance():
    population = spatial(300, key=jax.random.key(0))
    assert population.positions.shape == (300, 2)
    distance = np.linalg.norm(population.positions[:, None] - population.positions[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    ranks = np.concatenate([population.complete.profile(f"prompt {p}") for p in range(8)], 1)
    near = np.abs(ranks - ranks[distance.argmin(1)]).mean()
    far = np.abs(ranks - np.roll(ranks, 1, axis=0)).mean()
    assert near < far / 3


def test_gap_of_own_making():
    orders = {"p": {"x": ("a", "b", "c"), "y": ("c", "b", "a")}}
    made = from_types(
        orders, (0.5, 0.5), 10, key=jax.random.key(0), gaps=[Gap((1.0, 0.4), completions=("c",))]
    )
    ranks = made.ballots.profile("p")[:, 2] >= 0
    assert np.bincount(made.type_of[ranks]).tolist() == [5, 2]


def test_bad_arguments():
    with pytest.raises(ValueError, match="'exact' or 'multinomial'"):
        tennessee(10, key=jax.random.key(0), draw="fair")
    with pytest.raises(ValueError, match="give jax.random.key"):
        tennessee(10, key=7)
