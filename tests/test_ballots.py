"""Ballots: the data model holds what it was given, in any order, and refuses what makes no sense."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socialrm.ballots import Ballots, make_ballots

CITIES = ["Memphis", "Nashville", "Chattanooga", "Knoxville", "Morristown"]


def as_lists(ballots: Ballots) -> list[tuple]:
    """The ballots back as `make_ballots` takes them, tied completions sorted."""
    v = ballots.vocabulary
    out = []
    for completion, rank, prompt, rater in zip(
        ballots.completion, ballots.rank, ballots.prompt, ballots.rater
    ):
        tiers = [
            sorted(v.completions[c] for c in completion[rank == level])
            for level in range(rank.max(initial=-1) + 1)
        ]
        out.append((v.raters[rater], v.prompts[prompt], tiers))
    return out


@st.composite
def rankings(draw):
    """A weak order of two to five cities."""
    cities = draw(st.permutations(CITIES))[: draw(st.integers(2, 5))]
    cuts = draw(st.lists(st.booleans(), min_size=len(cities) - 1, max_size=len(cities) - 1))
    tiers = [[cities[0]]]
    for city, cut in zip(cities[1:], cuts):
        tiers.append([city]) if cut else tiers[-1].append(city)
    return [sorted(tier) for tier in tiers]


profiles = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), rankings()), min_size=1, max_size=8
)


@given(profiles)
def test_make_ballots_keeps_every_ballot(rows):
    assert sorted(as_lists(make_ballots(rows))) == sorted(rows)


@given(profiles)
def test_start_points_at_each_raters_ballots(rows):
    ballots = make_ballots(rows)
    for r, name in enumerate(ballots.vocabulary.raters):
        own = ballots.rater[ballots.start[r] : ballots.start[r + 1]]
        assert (own == r).all() and len(own) == sum(row[0] == name for row in rows)


@given(profiles)
def test_padded_block_holds_the_same_ballots(rows):
    ballots = make_ballots(rows)
    block = ballots.padded()
    there = block.prompt >= 0
    np.testing.assert_array_equal(block.completion[there], ballots.completion)
    np.testing.assert_array_equal(block.rank[there], ballots.rank)
    assert there.sum() == ballots.n_ballots


@given(profiles)
def test_contests_hold_every_ranked_completion(rows):
    ballots = make_ballots(rows)
    contests = ballots.contests()
    for i, p in enumerate(contests.prompt):
        name = ballots.vocabulary.prompts[p]
        ranked = {c for _, prompt, tiers in rows if prompt == name for tier in tiers for c in tier}
        assert set(contests.names(i)) == ranked and contests.mask[i].sum() == len(ranked)


@given(profiles, st.randoms())
def test_subset_keeps_the_chosen_raters_in_the_order_asked(rows, random):
    ballots = make_ballots(rows)
    chosen = random.sample(range(ballots.n_raters), random.randint(1, ballots.n_raters))
    names = [ballots.vocabulary.raters[r] for r in chosen]
    part = ballots.subset(np.array(chosen))
    assert part.vocabulary.raters == tuple(names)
    assert sorted(as_lists(part)) == sorted(row for row in rows if row[0] in names)
    assert part.vocabulary.completions == ballots.vocabulary.completions


def test_subset_by_booleans_and_bad_choices():
    ballots = make_ballots([("a", "x", CITIES), ("b", "x", CITIES[::-1])])
    assert ballots.subset(np.array([False, True])).vocabulary.raters == ("b",)
    with pytest.raises(ValueError, match="chosen twice"):
        ballots.subset(np.array([0, 0]))
    with pytest.raises(ValueError, match="booleans for 2 raters"):
        ballots.subset(np.array([True]))


@given(profiles, st.integers(0, 2**32 - 1))
def test_keep_hides_places_and_closes_ranks(rows, seed):
    ballots = make_ballots(rows)
    places = np.random.default_rng(seed).random(ballots.rank.shape) < 0.6
    kept = ballots.keep(places)
    expected = []
    for row, (rater, prompt, _) in enumerate(as_lists(ballots)):
        left = [
            (ballots.rank[row, k], ballots.vocabulary.completions[ballots.completion[row, k]])
            for k in range(ballots.n_places)
            if places[row, k] and ballots.mask[row, k]
        ]
        if len(left) > 1:
            levels = sorted({rank for rank, _ in left})
            expected.append((rater, prompt, [sorted(c for rank, c in left if rank == at) for at in levels]))
    assert as_lists(kept) == expected
    assert kept.n_raters == ballots.n_raters


def test_ballots_are_a_pytree_that_jit_traces_once():
    ballots = make_ballots([("a", "x", CITIES), ("b", "x", CITIES[::-1])])
    traces = []

    @jax.jit
    def longest(b):
        traces.append(1)
        return jnp.sum(b.mask, axis=1).max()

    assert longest(ballots) == 5 and longest(ballots) == 5
    assert len(traces) == 1
    assert len(jax.tree.leaves(ballots)) == 6


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no ballots"),
        ([("a", "x", ["Memphis"])], "rater 'a', prompt 'x' is a ballot of one"),
        ([("a", "x", ["Memphis", "Nashville", "Memphis"])], "rater 'a', prompt 'x' names 'Memphis' twice"),
        ([("a", "x", [["Memphis", "Memphis"]])], "rater 'a', prompt 'x' names 'Memphis' twice"),
    ],
)
def test_make_ballots_says_what_is_wrong(rows, message):
    with pytest.raises(ValueError, match=message):
        make_ballots(rows)


def test_weights_and_groups_belong_to_raters():
    rows = [("a", "x", CITIES), ("b", "x", CITIES), ("c", "x", CITIES)]
    ballots = make_ballots(rows, weight={"b": 2.5}, group={"a": "west", "b": "east"})
    np.testing.assert_array_equal(ballots.weight, [1.0, 2.5, 1.0])
    assert [ballots.vocabulary.groups[g] if g >= 0 else None for g in ballots.group] == ["west", "east", None]


def test_profile_refuses_two_ballots_of_one_rater():
    ballots = make_ballots([("a", "x", CITIES), ("a", "x", CITIES[::-1])])
    with pytest.raises(ValueError, match="rater 'a' has several ballots on prompt 'x'"):
        ballots.profile("x")
