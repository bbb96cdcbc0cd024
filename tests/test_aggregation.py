"""The interface of `aggregate`: shapes, masks, weights, ties, bad input."""

import jax
import numpy as np
import pytest

from socialrm.aggregation import RULES, Rule, aggregate, aggregate_rewards, margins, scoring_rule
from socialrm.slates import slate

TENNESSEE = np.array([[0, 1, 2, 3], [3, 0, 1, 2], [3, 2, 0, 1], [3, 2, 1, 0]])
SHARES = np.array([42, 26, 15, 17])


CARDINAL = [rule for rule in RULES if RULES[rule].needs == "rewards"]
RANKED = [rule for rule in RULES if RULES[rule].needs != "rewards"]
FIXED = [rule for rule in RANKED if RULES[rule].needs != "draw"]


def apply(ranks, rule, **options):
    seats = min(2, np.shape(ranks)[-1]) if RULES[rule].gives == "slate" else None
    return aggregate(ranks, rule, key=jax.random.key(0), seats=seats, **options)


def random_ranks(rng, contests, voters, candidates, ties=False):
    if ties:
        return rng.integers(0, candidates, (contests, voters, candidates))
    return rng.permuted(np.broadcast_to(np.arange(candidates), (contests, voters, candidates)), axis=-1)


@pytest.mark.parametrize("rule", RANKED)
def test_a_batch_is_its_contests(rule):
    ranks = random_ranks(np.random.default_rng(1), 5, 9, 4)
    if RULES[rule].needs == "draw":
        pytest.skip("each contest draws its own ballot")
    batch = apply(ranks, rule)
    for contest, one in enumerate(ranks):
        alone = apply(one, rule)
        np.testing.assert_allclose(alone.scores, batch.scores[contest], atol=1e-12)
        np.testing.assert_array_equal(alone.ranks, batch.ranks[contest])


@pytest.mark.parametrize("rule", RANKED)
def test_padding_changes_nothing(rule):
    rng = np.random.default_rng(2)
    sizes, ranks = [3, 5, 2, 5, 2 if RULES[rule].gives == "slate" else 1], -np.ones((5, 7, 5), int)
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


@pytest.mark.parametrize("rule", FIXED)
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


@pytest.mark.parametrize("rule", RANKED)
def test_one_candidate_wins(rule):
    order = apply([[0], [0]], rule)
    assert order.ranks.tolist() == [0] and np.isfinite(order.scores).all()


@pytest.mark.parametrize("rule", RANKED)
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


@pytest.mark.parametrize("rule", CARDINAL)
def test_cardinal_rules_take_rewards_only(rule):
    with pytest.raises(ValueError, match=f"{rule} needs rewards, not ranks: use aggregate_rewards"):
        aggregate(TENNESSEE, rule)
    with pytest.raises(ValueError, match="rewards must be finite"):
        aggregate_rewards([[np.nan, 1.0]], rule)


@pytest.mark.parametrize("rule", CARDINAL)
def test_cardinal_rules_with_padding_weights_and_names(rule):
    """A batch with padding is its contests; whole weights are repeated voters; neutral and anonymous."""
    rng = np.random.default_rng(10)
    rewards, weights = rng.normal(size=(3, 7, 5)), rng.integers(0, 4, 7)
    mask = np.array([[True] * 5, [True, False, True, True, False], [False, True, True, False, False]])
    batch = aggregate_rewards(rewards, rule, weights=weights, mask=mask)
    assert (batch.ranks[~mask] == -1).all()
    for contest in range(3):
        inside, names, voters = mask[contest], rng.permutation(mask[contest].sum()), rng.permutation(7)
        one = rewards[contest][:, inside]
        repeated = aggregate_rewards(np.repeat(one, weights, axis=0), rule)
        np.testing.assert_array_equal(repeated.ranks, batch.ranks[contest][inside])
        np.testing.assert_allclose(repeated.scores, batch.scores[contest][inside], atol=1e-9)
        other = aggregate_rewards(one[voters][:, names], rule, weights=0.5 * weights[voters])
        np.testing.assert_array_equal(other.ranks, repeated.ranks[names])


@pytest.mark.parametrize("rule", CARDINAL)
def test_cardinal_rules_never_prefer_what_nobody_prefers(rule):
    """Who is below another in every voter's rewards is not above in the social order."""
    rng = np.random.default_rng(11)
    for _ in range(30):
        rewards = rng.random((6, 4))
        rewards[:, 1] = rewards[:, 0] - rng.random(6) * 0.2
        order = aggregate_rewards(rewards, rule)
        assert order.ranks[0] <= order.ranks[1]


def test_leximin_by_brute_force():
    """Sorted rewards of repeated voters compared as tuples."""
    rng = np.random.default_rng(12)
    for _ in range(100):
        rewards, weights = rng.integers(0, 4, (5, 4)) / 3, rng.integers(0, 3, 5)
        if weights.sum() == 0:
            continue
        rising = [tuple(sorted(column)) for column in np.repeat(rewards, weights, axis=0).T]
        expected = [sum(other > mine for other in rising) for mine in rising]
        for scale in (1, 0.1):
            found = aggregate_rewards(rewards, "leximin", weights=weights * scale, normalise="none")
            assert found.ranks.tolist() == expected


@pytest.mark.parametrize("rule", [r for r in FIXED if not RULES[r].gives == "slate"])
def test_rewards_determine_what_ranks_do(rule):
    rng = np.random.default_rng(13)
    ranks = random_ranks(rng, 4, 5, 4)
    by_rewards = aggregate_rewards(-np.exp(ranks), rule)
    np.testing.assert_array_equal(by_rewards.ranks, aggregate(ranks, rule).ranks)


def test_any_score_vector():
    """Named rules are special cases, on weak ballots too; vectors that fit no contest are refused."""
    rng = np.random.default_rng(14)
    for m in (2, 3, 5):
        ranks, places = random_ranks(rng, 40, 7, m, ties=True), np.arange(m)
        for name, vector in {
            "plurality": places == 0,
            "antiplurality": places < m - 1,
            "k_approval": places < 2,
            "dowdall": 1 / (1 + places),
            "borda": m - 1 - places,
        }.items():
            named = aggregate(ranks, name)
            for rule in (scoring_rule(vector), "scores:" + ",".join(repr(float(v)) for v in vector)):
                mine = aggregate(ranks, rule)
                np.testing.assert_array_equal(mine.ranks, named.ranks)
                np.testing.assert_allclose(mine.scores, named.scores, atol=1e-12)
    assert isinstance(scoring_rule([3, 1, 0]), Rule) and scoring_rule([3, 1, 0]).name == "scores:3,1,0"
    assert aggregate([[0, 1, 2]], "scores: 3, 1, 0").scores.tolist() == [3, 1, 0]
    for wrong, message in (("scores:", "is numbers"), ("scores:a", "is numbers"), ("scores:1,inf", "finite")):
        with pytest.raises(ValueError, match=message):
            aggregate(TENNESSEE, wrong)
    with pytest.raises(ValueError, match="4 candidates need as many"):
        aggregate(TENNESSEE, "scores:1,0")


def test_stv_of_one_seat_is_instant_runoff_with_every_way_to_break_ties():
    """Parallel universes (Conitzer, Rognlie and Xia 2009) of pref_voting."""
    from pref_voting.iterative_methods import instant_runoff_put
    from pref_voting.profiles import Profile

    rng, tied = np.random.default_rng(15), 0
    for _ in range(200):
        rows = rng.permuted(np.tile(np.arange(rng.integers(2, 6)), (rng.integers(1, 9), 1)), axis=1)
        winners = sorted(won[0] for won in slate(np.argsort(rows, axis=1), 1, "stv"))
        assert winners == sorted(instant_runoff_put(Profile(rows.tolist())))
        tied += len(winners) > 1
    assert tied > 20


def test_stv_gives_solid_coalitions_their_droop_quotas():
    """Voters who put one set of candidates first, above j quotas, elect j of them (Woodall 1994)."""
    rng = np.random.default_rng(16)
    for _ in range(100):
        m, k, voters = 6, int(rng.integers(1, 5)), int(rng.integers(5, 25))
        size, coalition = int(rng.integers(1, 5)), int(rng.integers(1, voters))
        rows = np.array([rng.permutation(m) for _ in range(voters)])
        rows[:coalition] = [
            [*rng.permutation(size), *(size + rng.permutation(m - size))] for _ in range(coalition)
        ]
        owed = min(size, int(np.ceil(coalition * (k + 1) / voters) - 1))
        for won in slate(np.argsort(rows, axis=1), k, "stv"):
            assert sum(c < size for c in won) >= owed


@pytest.mark.parametrize("rule", [r for r in RULES if RULES[r].gives == "slate"])
def test_slates_have_their_seats_and_tie_explicitly(rule):
    rng = np.random.default_rng(17)
    for _ in range(30):
        ranks, k = random_ranks(rng, 1, int(rng.integers(1, 9)), 5)[0], int(rng.integers(1, 6))
        slates, order = slate(ranks, k, rule), aggregate(ranks, rule, seats=k)
        assert slates and all(len(won) == k for won in slates)
        expected = np.array([np.mean([c in won for won in slates]) for c in range(5)])
        np.testing.assert_allclose(order.scores, expected, atol=1e-12)
        assert (order.winners == (expected > expected.max() - 1e-9)).all()
    with pytest.raises(ValueError, match="how many seats"):
        aggregate(ranks, rule)
    with pytest.raises(ValueError, match="a slate of 6 from 5"):
        aggregate(ranks, rule, seats=6)


def test_stv_says_when_ties_are_too_many(monkeypatch):
    monkeypatch.setattr("socialrm.slates.STATES", 3)
    with pytest.raises(ValueError, match="ways to break ties"):
        slate([np.roll(np.arange(5), k) for k in range(5)], 2, "stv")


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


@pytest.mark.parametrize("rule", [r for r in FIXED if not RULES[r].strict])
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
    for rule in RANKED:
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


def test_pref_voting_takes_weak_ballots_where_its_method_does():
    rng = np.random.default_rng(18)
    for theirs, ours in (("Split Cycle", "split_cycle"), ("Minimax", "minimax"), ("Copeland", "copeland")):
        for ranks in random_ranks(rng, 20, 9, 4, ties=True):
            weights = rng.integers(1, 4, 9)
            mine = aggregate(ranks, ours, weights=weights)
            assert (aggregate(ranks, f"pref_voting:{theirs}", weights=weights).winners == mine.winners).all()


def test_rules_with_a_number():
    ranks = random_ranks(np.random.default_rng(19), 50, 6, 4, ties=True)
    for numbered, named in (
        ("copeland:0.5", "copeland"),
        ("copeland:1", "llull"),
        ("k_approval:1", "plurality"),
        ("k_approval:2", "k_approval"),
        ("k_approval:3", "antiplurality"),
    ):
        np.testing.assert_array_equal(aggregate(ranks, numbered).ranks, aggregate(ranks, named).ranks)
    for wrong in ("copeland:2", "copeland:nan", "k_approval:0", "k_approval:1.5", "copeland:half", "borda:2"):
        with pytest.raises(ValueError, match="copeland|k_approval"):
            aggregate(TENNESSEE, wrong)


def test_no_contests_are_no_orders():
    order = aggregate(np.zeros((0, 3, 4), int), "borda")
    assert order.ranks.shape == order.scores.shape == (0, 4)


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
