"""The interface of `aggregate`: shapes, masks, weights, ties, bad input."""

import jax
import numpy as np
import pytest

from socialrm.aggregation import RULES, aggregate, margins

TENNESSEE = np.array([[0, 1, 2, 3], [3, 0, 1, 2], [3, 2, 0, 1], [3, 2, 1, 0]])
SHARES = np.array([42, 26, 15, 17])


def apply(ranks, rule, **options):
    return aggregate(ranks, rule, key=jax.random.key(0), **options)


def random_ranks(rng, contests, voters, candidates, ties=False):
    if ties:
        return rng.integers(0, candidates, (contests, voters, candidates))
    return rng.permuted(np.broadcast_to(np.arange(candidates), (contests, voters, candidates)), axis=-1)


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_is_its_contests(rule):
    ranks = random_ranks(np.random.default_rng(1), 5, 9, 4)
    if RULES[rule].needs == "draw":
        pytest.skip("each contest draws its own ballot")
    batch = apply(ranks, rule)
    for contest, one in enumerate(ranks):
        alone = apply(one, rule)
        np.testing.assert_allclose(alone.scores, batch.scores[contest], atol=1e-12)
        np.testing.assert_array_equal(alone.ranks, batch.ranks[contest])


@pytest.mark.parametrize("rule", RULES)
def test_padding_changes_nothing(rule):
    rng = np.random.default_rng(2)
    sizes, ranks = [3, 5, 2, 5, 1], -np.ones((5, 7, 5), int)
    mask = np.zeros((5, 5), bool)
    for contest, size in enumerate(sizes):
        columns = np.sort(rng.choice(5, size, replace=False))
        mask[contest, columns] = True
        ranks[contest][:, columns] = random_ranks(rng, 1, 7, size)[0]
    padded = apply(ranks, rule, mask=mask)
    assert (padded.ranks[~mask] == -1).all() and np.isneginf(padded.scores[~mask]).all()
    if RULES[rule].needs == "draw":
        return
    for contest in range(5):
        alone = apply(ranks[contest][:, mask[contest]], rule)
        np.testing.assert_array_equal(alone.ranks, padded.ranks[contest][mask[contest]])
        np.testing.assert_allclose(alone.scores, padded.scores[contest][mask[contest]], atol=1e-12)


@pytest.mark.parametrize("rule", [r for r in RULES if RULES[r].needs != "draw"])
def test_weights_are_repeated_voters(rule):
    rng = np.random.default_rng(3)
    for _ in range(20):
        ranks, weights = random_ranks(rng, 1, 6, 4)[0], rng.integers(0, 4, 6)
        if weights.sum() == 0:
            continue
        counted, repeated = (
            apply(ranks, rule, weights=weights),
            apply(np.repeat(ranks, weights, axis=0), rule),
        )
        np.testing.assert_array_equal(counted.ranks, repeated.ranks)
        np.testing.assert_allclose(counted.scores, repeated.scores, atol=1e-9)
        scaled = apply(ranks, rule, weights=weights * 0.1)
        np.testing.assert_array_equal(counted.ranks, scaled.ranks)


@pytest.mark.parametrize("rule", RULES)
def test_one_candidate_wins(rule):
    order = apply([[0], [0]], rule)
    assert order.ranks.tolist() == [0] and np.isfinite(order.scores).all()


@pytest.mark.parametrize("rule", RULES)
def test_ranks_follow_scores(rule):
    ranks = random_ranks(np.random.default_rng(4), 200, 6, 4)
    order = apply(ranks, rule)
    above = order.scores[:, :, None] > order.scores[:, None, :]
    assert (above == (order.ranks[:, :, None] < order.ranks[:, None, :])).all()
    if RULES[rule].gives != "places":
        assert (order.ranks == above.sum(axis=1)).all()


@pytest.mark.parametrize(
    ("ranks", "options", "message"),
    [
        ([[0, 1], [np.nan, 0]], {}, "candidate 0 by voter 1 in contest 0 is missing"),
        ([[0, 1], [1, -1]], {}, "candidate 1 by voter 1 in contest 0 is negative"),
        ([[0.5, 1]], {}, "not a whole number"),
        ([[None, 1]], {}, "must be integers"),
        (np.ma.masked_array([[0, 1]], [[True, False]]), {}, "missing"),
        (np.zeros((0, 3), int), {}, "got 0 x 3"),
        (np.zeros((3, 0), int), {}, "got 3 x 0"),
        ([0, 1, 2], {}, "axes"),
        (TENNESSEE, {"weights": [1, 1, 1]}, "weights need the shape"),
        (TENNESSEE, {"weights": [1, 1, -1, 1]}, "voter 2"),
        (TENNESSEE, {"weights": [1, 1, np.nan, 1]}, "voter 2"),
        (TENNESSEE, {"weights": [0, 0, 0, 0]}, "nobody votes"),
        (TENNESSEE, {"mask": [False] * 4}, "has no candidate"),
        (TENNESSEE, {"mask": [1, 1, 1, 1]}, "boolean"),
    ],
)
def test_bad_input_is_named(ranks, options, message):
    with pytest.raises(ValueError, match=message):
        aggregate(ranks, "borda", **options)


def test_unknown_rule_and_missing_key():
    with pytest.raises(ValueError, match="no rule is called 'bordo'"):
        aggregate(TENNESSEE, "bordo")
    with pytest.raises(ValueError, match="pass key="):
        aggregate(TENNESSEE, "random_ballot")


def test_random_ballot_draws_voters_by_weight():
    drawn = aggregate(
        np.broadcast_to(TENNESSEE, (20_000, 4, 4)), "random_ballot", weights=SHARES, key=jax.random.key(0)
    )
    assert np.abs(drawn.winners.mean(axis=0) - SHARES / 100).max() < 0.012  # 3.5 standard errors


def test_margins_of_large_ranks_and_many_voters():
    ranks = random_ranks(np.random.default_rng(5), 1, 1000, 6)[0]
    assert (margins(ranks) == margins(ranks * 100_000)).all()
    brute = (ranks[:, :, None] < ranks[:, None, :]).sum(0)
    assert (margins(ranks) == brute - brute.T).all()


@pytest.mark.parametrize("rule", [r for r in RULES if RULES[r].needs != "draw" and not RULES[r].strict])
def test_names_and_sequence_of_weak_ballots_do_not_matter(rule):
    """Neutrality and anonymity, with ties on ballots and weights."""
    rng = np.random.default_rng(6)
    for _ in range(10):
        ranks, weights = random_ranks(rng, 1, 7, 5, ties=True)[0], rng.integers(1, 4, 7)
        order, names, voters = apply(ranks, rule, weights=weights), rng.permutation(5), rng.permutation(7)
        other = apply(ranks[voters][:, names], rule, weights=weights[voters])
        np.testing.assert_array_equal(other.ranks, order.ranks[names])
        np.testing.assert_allclose(other.scores, order.scores[names], atol=1e-9)


def test_only_the_order_of_ranks_counts():
    ranks = random_ranks(np.random.default_rng(7), 1, 9, 4)[0]
    for rule in RULES:
        np.testing.assert_array_equal(apply(ranks * 7 + 3, rule).ranks, apply(ranks, rule).ranks)


def test_strict_rules_refuse_ties_in_one_sentence():
    with pytest.raises(ValueError, match="plurality_veto needs ballots without ties"):
        aggregate([[0, 0, 1]], "plurality_veto")


def test_ranked_pairs_says_when_ties_are_too_many(monkeypatch):
    monkeypatch.setattr("socialrm.cycles.STATES", 10)
    ranks = [np.roll(np.arange(7), k) for k in range(7)]
    with pytest.raises(ValueError, match="ways to break the ties"):
        aggregate(ranks, "ranked_pairs")


def test_pref_voting_rules_by_name():
    order = aggregate(TENNESSEE, "pref_voting:Split Cycle", weights=SHARES)
    assert order.winners.tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="whole numbers"):
        aggregate(TENNESSEE, "pref_voting:Borda", weights=SHARES / 100)
    with pytest.raises(ValueError, match="without ties"):
        aggregate([[0, 0, 1]], "pref_voting:Borda")


def test_many_contests_in_blocks_equal_one_by_one():
    """Blocks bound the memory and change nothing."""
    ranks = random_ranks(np.random.default_rng(8), 300, 401, 6)
    whole = {rule: aggregate(ranks, rule) for rule in ("borda", "schulze", "irv", "kemeny")}
    for rule, order in whole.items():
        parts = [aggregate(part, rule) for part in np.array_split(ranks, 7)]
        np.testing.assert_array_equal(order.ranks, np.concatenate([part.ranks for part in parts]))


def test_margins_take_memory_linear_in_voters_times_candidates():
    """Peak of allocations stays below two bytes a rank, whatever the number of candidates."""
    import tracemalloc

    for candidates in (5, 40):
        ranks = np.argsort(np.random.default_rng(9).random((20_000, candidates)), axis=1).astype(np.int8)
        tracemalloc.start()
        margins(ranks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * ranks.size + 200_000
