"""Theorems about the rules, each with its source, on random and on constructed profiles."""

from itertools import permutations, product

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socialrm import populations
from socialrm.aggregation import RULES, aggregate, aggregate_rewards, margins
from socialrm.axioms import CRITERIA_OF, find
from socialrm.cardinal import phantom_median
from socialrm.cycles import ranked_pairs, river, schulze, split_cycle, stable_voting
from socialrm.distortion import metric_distortion
from socialrm.elections import Elections
from socialrm.lotteries import maximal_lottery
from socialrm.pairwise import top_cycle, uncovered_set
from socialrm.profiles import profile
from socialrm.slates import slate_welfare
from socialrm.strategy import every_order, gains
from socialrm.tournaments import _tied_places, banks, kemeny, kemeny_order, slater
from socialrm.witnesses import all_orders, check, electorates, hunt

JUDGED = [name for name, rule in RULES.items() if rule.fails is not None and rule.needs != "draw"]
CONDORCET = [name for name in JUDGED if "condorcet_winner" not in RULES[name].fails.split()]


def random_ranks(rng, voters, candidates):
    return np.argsort(rng.random((voters, candidates)), axis=1)


def random_margins(rng, contests, m, largest):
    upper = np.triu(rng.integers(-largest, largest + 1, (contests, m, m)), 1)
    return (upper - np.swapaxes(upper, 1, 2)).astype(float)


def tournaments(rng, contests, m):
    upper = np.triu(rng.choice([-1, 1], (contests, m, m)), 1)
    return upper - np.swapaxes(upper, 1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_bradley_terry_optimum_orders_as_borda(seed):
    """On complete data the likelihood equations are sum_b sigma(r_a - r_b) = mean wins of a: Borda (Hunter 2004; Siththaranjan et al. 2024)."""
    ranks = random_ranks(np.random.default_rng(seed), 25, 5)
    wins = profile(ranks).support[0]
    rewards = np.zeros(5)
    for _ in range(4000):
        probability = 1 / (1 + np.exp(rewards[None, :] - rewards[:, None]))
        rewards += 0.05 * (wins - (wins + wins.T) * probability).sum(axis=1) / 25
    borda = aggregate(ranks, "borda").scores
    gap = np.abs(borda[:, None] - borda[None, :]) > 1e-9
    agree = np.sign(borda[:, None] - borda[None, :]) == np.sign(rewards[:, None] - rewards[None, :])
    assert agree[gap].all()


def test_mcgarvey_every_tournament_is_some_electorates():
    """Two voters per pair: a > b > rest, and reversed rest > a > b (McGarvey 1953)."""
    rng = np.random.default_rng(0)
    for m in range(2, 8):
        target, ballots = tournaments(rng, 1, m)[0], []
        for a, b in zip(*np.nonzero(target > 0)):
            rest = [c for c in range(m) if c not in (a, b)]
            ballots += [[a, b, *rest], [*rest[::-1], a, b]]
        assert (margins(np.argsort(ballots, axis=1)) == 2 * target).all()


@pytest.mark.parametrize("m", [3, 5, 7, 8])
def test_tournament_solutions_are_nested(m):
    """Banks and Slater in uncovered, uncovered in top cycle (Banks 1985, Miller 1980)."""
    some = tournaments(np.random.default_rng(m), 300, m)
    uncovered = uncovered_set(some)
    assert (banks(some) <= uncovered).all()
    assert ((slater(some) == 0) <= uncovered).all()
    assert (uncovered <= top_cycle(some)).all()
    assert banks(some).any(axis=1).all()


def test_refinements_of_split_cycle():
    """Schulze, ranked pairs, river and stable voting choose among split cycle winners (Holliday and Pacuit 2023)."""
    some = random_margins(np.random.default_rng(1), 300, 6, 40) * 2 + 1
    some = np.triu(some, 1) - np.swapaxes(np.triu(some, 1), 1, 2)
    allowed = split_cycle(some) == 0
    for rule in (schulze, ranked_pairs, river):
        assert ((rule(some) == 0) <= allowed).all()
    assert (stable_voting(some) <= allowed).all()


@pytest.mark.parametrize("rule", CONDORCET)
def test_a_condorcet_winner_wins_alone(rule):
    rng, seen = np.random.default_rng(2), 0
    ranks = np.argsort(rng.random((300, 9, 4)), axis=2)
    beats = (profile(ranks).margins > 0).sum(axis=2) == 3
    order = aggregate(ranks, rule)
    for contest, winner in np.argwhere(beats):
        seen += 1
        assert order.winners[contest].tolist() == [c == winner for c in range(4)]
        if RULES[rule].gives == "lottery":
            np.testing.assert_allclose(order.scores[contest, winner], 1.0)
    assert seen > 150


@pytest.mark.parametrize(("m", "largest"), [(3, 1), (4, 2), (6, 1), (8, 100), (10, 3)])
def test_maximal_lotteries_are_maximal_and_neutral(m, largest):
    """No lottery is preferred to a maximal one: p M >= 0 (Fishburn 1984)."""
    rng = np.random.default_rng(m)
    some = random_margins(rng, 200, m, largest)
    lottery = maximal_lottery(some)
    np.testing.assert_allclose(lottery.sum(axis=1), 1.0, atol=1e-12)
    assert (np.einsum("ca,cab->cb", lottery, some) > -1e-9 * largest).all()
    names = rng.permutation(m)
    renamed = maximal_lottery(some[:, names][:, :, names])
    np.testing.assert_allclose(renamed, lottery[:, names], atol=1e-9)


@pytest.mark.parametrize("m", [6, 7, 8])
def test_kemeny_is_brute_force(m):
    some = random_margins(np.random.default_rng(m), 3 if m == 8 else 10, m, 3)
    orders = np.array(list(permutations(range(m))))
    a, b = np.triu_indices(m, 1)
    for one, places in zip(some, kemeny(some)):
        totals = one[orders[:, a], orders[:, b]].sum(axis=1)
        optimal = orders[totals == totals.max()]
        assert places.tolist() == np.argsort(optimal, axis=1).min(axis=0).tolist()


@pytest.mark.parametrize("m", [5, 9, 12])
def test_integer_program_and_table_agree(m):
    one = random_margins(np.random.default_rng(m), 1, m, 9)[0]
    found = kemeny_order(one)
    assert found.proven
    best = kemeny(one[None])[0]
    assert (best[found.order] <= np.arange(m)).all()


@pytest.mark.parametrize(("m", "largest"), [(4, 1), (6, 1), (8, 2), (10, 3)])
def test_places_by_integer_programs_are_those_of_the_table(m, largest):
    """Ties included, and every program proven."""
    tied = 0
    for one in random_margins(np.random.default_rng(m), 4, m, largest):
        places, sure = _tied_places(one)
        assert sure and places.tolist() == kemeny(one[None])[0].tolist()
        tied += len(set(places)) < m
    assert tied


def test_kemeny_ties_in_a_cycle_beyond_the_table(monkeypatch):
    """17 candidates by both ways; a circle of 18, each of whom can be first; a warning where the solver stops early."""
    one = random_margins(np.random.default_rng(0), 1, 17, 1)
    by_programs = kemeny(one)[0]
    monkeypatch.setattr("socialrm.tournaments.TABLE", 17)
    assert len(set(by_programs)) < 17 and by_programs.tolist() == kemeny(one)[0].tolist()
    circle = np.eye(18, k=1) + np.eye(18, k=-17)
    assert kemeny((circle - circle.T)[None])[0].tolist() == [0] * 18
    monkeypatch.setattr("socialrm.tournaments._tied_places", lambda margins: (np.arange(18), False))
    with pytest.warns(UserWarning, match="ties may be missing"):
        kemeny((circle - circle.T)[None])


def test_kemeny_beyond_the_table_is_the_majority_order_without_cycles():
    strength = np.arange(25, dtype=float)
    M = strength[None, :] - strength[:, None]
    assert kemeny(M[None])[0].tolist() == list(range(25))


@pytest.mark.parametrize("rule", CONDORCET)
@pytest.mark.parametrize("m", [3, 5, 9])
def test_condorcet_rules_escape_the_posts_distortion(rule, m):
    """Borda elects A as soon as its friends are more than 1/m; rules with a Condorcet winner elect the last candidate."""
    ranks = np.stack([np.arange(m), np.append(np.arange(1, m), 0)])
    for share, borda in ((1 / m - 0.01, m - 1), (1 / m + 0.01, 0)):
        weights = [share, 1 - share]
        assert aggregate(ranks, "borda", weights=weights).scores.argmax() == borda
        assert aggregate(ranks, rule, weights=weights).winners.tolist() == [c == m - 1 for c in range(m)]


def test_post_twins_are_relabellings():
    """Anonymous, neutral rules treat the post's two populations alike (appendix "Pairwise rules")."""
    one, other = (p.orders["choose"] for p in populations.pairwise_twins(key=jax.random.key(0)))
    assert (margins(one) == margins(other)).all()
    for name in JUDGED:
        if "anonymity" not in RULES[name].fails:
            mine, theirs = aggregate(one, name), aggregate(other, name)
            np.testing.assert_allclose(mine.scores, theirs.scores[[1, 0, 2, 3]], atol=1e-9, err_msg=name)


def test_random_dictator_is_strategyproof_for_three_candidates():
    """On every profile of three voters (Gibbard 1977)."""
    for three in product(every_order(3), repeat=3):
        assert gains(np.array(three), "random_dictator") is None


def test_vetos_keep_metric_distortion_three():
    """Kizilkaya and Kempe 2022, 2023; Copeland keeps five (Anshelevich et al. 2018)."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        ranks = random_ranks(rng, 6, 4)
        assert metric_distortion(ranks, "plurality_veto") <= 3 + 1e-6
        assert metric_distortion(ranks, "simultaneous_veto") <= 3 + 1e-6
        assert metric_distortion(ranks, "copeland") <= 5 + 1e-6


SMALL = [name for name in JUDGED if "maximal" not in name]


@pytest.mark.parametrize("rule", SMALL)
def test_small_electorates_agree_with_the_table(rule):
    """No clear violation of a criterion that the table says the rule satisfies."""
    for criterion in CRITERIA_OF:
        if criterion == "iia" or criterion in RULES[rule].fails.split():
            continue
        for m, n in ((3, 4), (3, 5), (4, 2), (4, 3)):
            witness = find(
                criterion, Elections(RULES[rule], all_orders(m), electorates(m, n, len(all_orders(m))))
            )
            assert witness is None or not witness.clear, str(witness)


@pytest.mark.parametrize(
    ("rule", "criterion"),
    [
        ("borda", "condorcet_loser"),
        ("copeland", "monotonicity"),
        ("schulze", "clones"),
        ("ranked_pairs", "reversal_symmetry"),
        ("kemeny", "unanimity"),
        ("irv", "majority"),
        ("bucklin", "monotonicity"),
        ("simultaneous_veto", "majority"),
    ],
)
def test_hypothesis_finds_no_witness_where_there_is_a_theorem(rule, criterion):
    assert hunt(rule, criterion, examples=80) is None


@pytest.mark.parametrize(
    ("rule", "criterion", "source"),
    [
        ("borda", "majority", "Borda 1781"),
        ("plurality", "condorcet_loser", "Borda 1781"),
        ("irv", "condorcet_winner", "Hoag and Hallett 1926"),
        ("dowdall", "clones", "Tideman 1987"),
        ("bucklin", "participation", "Tideman 2006"),
    ],
)
def test_hypothesis_finds_known_failures(rule, criterion, source):
    witness = hunt(rule, criterion, examples=2000)
    assert witness is not None and witness.clear, source


def test_a_slate_tells_the_posts_twins_apart():
    """Which partner suits A differs between them; for one winner the two look alike, label by label."""
    one, other = (p.orders["choose"] for p in populations.pairwise_twins(key=jax.random.key(0)))
    for name in JUDGED:
        if "anonymity" not in RULES[name].fails:
            np.testing.assert_allclose(
                aggregate(one, name).scores, aggregate(other, name).scores, atol=1e-9, err_msg=name
            )
    mine, theirs = slate_welfare(one, 2), slate_welfare(other, 2)
    best = [max(((0, 2), (0, 3)), key=worth.get) for worth in (mine, theirs)]
    assert best == [(0, 3), (0, 2)]
    assert {s: w for s, w in mine.items()} == {
        tuple(sorted({0: 1, 1: 0}.get(c, c) for c in s)): w for s, w in theirs.items()
    }


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 20), st.lists(st.integers(0, 20)))
def test_phantom_median_is_strategyproof_for_one_score(others, ideal, lies):
    """A voter who wants the score near an ideal gains by no report (Moulin 1980)."""
    score = lambda report: phantom_median(np.array([*others, report])[:, None] / 20, np.ones(len(others) + 1))
    honest = abs(score(ideal)[0] - ideal / 20)
    assert all(abs(score(lie)[0] - ideal / 20) >= honest - 1e-12 for lie in [0, 20, *lies])


def test_phantom_median_is_manipulable_over_who_wins():
    """The first voter prefers A; by giving B nothing it turns the winner from B to a tie with A."""
    truth = np.array([[1.0, 0.8], [0.3, 0.9], [0.6, 0.6]])
    lie = truth.copy()
    lie[0, 1] = 0.0
    winners = [aggregate_rewards(r, "phantom_median", normalise="none").winners for r in (truth, lie)]
    assert [w.tolist() for w in winners] == [[False, True], [True, True]]


def test_condorcet_without_a_winner_ties_all():
    order = aggregate([[0, 1, 2], [1, 2, 0], [2, 0, 1]], "condorcet")
    assert order.winners.all()
    assert aggregate([[0, 1], [1, 0]], "condorcet").winners.all()


def test_stable_voting_is_not_monotonic():
    """Nine voters, five candidates; known to fail (Doering, Brill and Heitzig 2025, table 1)."""
    ballots = {"ABCDE": 1, "ACEBD": 2, "BADCE": 1, "CDAEB": 1, "DEBAC": 2, "BCEDA": 1, "EDBCA": 1}
    ranks = np.array([[order.index(c) for c in "ABCDE"] for order in ballots])
    witness = check("monotonicity", "stable_voting", ranks, np.array(list(ballots.values())))
    assert witness.clear and witness.voters == 9
    assert check("monotonicity", "split_cycle", ranks, np.array(list(ballots.values()))) is None


def test_nanson_violates_reversal_symmetry_at_the_average_only():
    """A winner above the average is below it upside down; only one exactly at the average can win twice."""
    seen = 0
    for n in range(1, 8):
        some = Elections(RULES["nanson"], all_orders(3), electorates(3, n, 6))
        for case in CRITERIA_OF["reversal_symmetry"](some):
            points = some.margins.sum(axis=2)[some.winners & case.violated[:, None]]
            seen += len(points)
            assert (points == 0).all()
    assert seen
