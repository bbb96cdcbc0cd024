"""Facts about ballots agree with brute force, and trouble is said in words."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from socialrm.ballots import make_ballots
from socialrm.comparisons import near_duplicates, nodes, parts
from socialrm.readers import read
from socialrm.validate import estimate, validate

NAMES = "abcdef"


def ballots_of(rankings):
    return make_ballots([(f"r{i}", prompt, ranking) for i, (prompt, ranking) in enumerate(rankings)])


@st.composite
def rankings(draw):
    """A few ballots with ties on two prompts."""
    out = []
    for _ in range(draw(st.integers(1, 8))):
        size = draw(st.integers(2, 4))
        names = draw(st.permutations(NAMES))[:size]
        levels = draw(arrays(np.int8, size, elements=st.integers(0, 3)))
        tied = [[n for n, level in zip(names, levels) if level == k] for k in np.unique(levels)]
        out.append((draw(st.sampled_from("xy")), tied))
    return out


def reachable(data, prompt, strong):
    """Pairs (i, j) such that j is reached from i, by Warshall's algorithm on all comparisons."""
    there, arrows = set(), set()
    for p, levels in data:
        if p == prompt:
            place = {name: k for k, level in enumerate(levels) for name in level}
            there |= set(place)
            arrows |= {(i, j) for i in place for j in place if place[i] <= place[j] or not strong}
    for k, i, j in itertools.product(sorted(there), repeat=3):
        if (i, k) in arrows and (k, j) in arrows:
            arrows.add((i, j))
    return there, arrows


@given(rankings(), st.booleans())
def test_parts_agree_with_brute_force(data, strong):
    ballots = ballots_of(data)
    found = dict(zip(*(x.tolist() for x in parts(ballots, strong=strong))))
    for index, prompt in enumerate(ballots.vocabulary.prompts):
        there, arrows = reachable(data, prompt, strong)
        classes = {frozenset(j for j in there if (i, j) in arrows and (j, i) in arrows) for i in there}
        assert found[index] == len(classes)


@given(rankings())
def test_overlap_agrees_with_brute_force(data):
    ballots = ballots_of(data)
    facts = validate(ballots).facts["overlap"]
    count, possible = {}, 0
    for prompt in "xy":
        own = [sorted(n for level in levels for n in level) for p, levels in data if p == prompt]
        size = len(set(itertools.chain(*own)))
        possible += size * (size - 1) // 2
        for names in own:
            for pair in itertools.combinations(names, 2):
                count[prompt, pair] = count.get((prompt, pair), 0) + 1
    assert facts["pairs_of_candidates_compared"] == pytest.approx(len(count) / possible)
    assert facts["ballots_a_compared_pair"]["median"] == np.median(list(count.values()))
    prompts = [p for p, _ in data]
    shared = [p == q for p, q in itertools.combinations(prompts, 2)]
    assert facts["pairs_of_raters_with_a_common_prompt"] == pytest.approx(np.mean(shared) if shared else 0)


def test_nodes_are_candidates_of_contests():
    ballots = ballots_of([("x", ["a", "b", "c"]), ("y", ["c", "a"])])
    node, prompt, completion = nodes(ballots)
    assert node.tolist() == [[0, 1, 2], [4, 3, -1]]
    assert prompt.tolist() == [0, 0, 0, 1, 1] and completion.tolist() == [0, 1, 2, 0, 2]


def test_worries_come_in_words():
    apart = make_ballots(
        [
            ("rater-ann", "tea?", ["green", "black"]),
            ("bob", "tea?", ["white", "mint"]),
            ("cat", "park?", ["a", "b"]),
        ],
        group={"rater-ann": "north", "bob": "north", "cat": "south"},
    )
    warnings = " ".join(validate(apart).warnings)
    for text in (
        "comparisons of 1 contest do not connect ('tea?')",
        "raters and prompts fall into 2 parts",
        "1 contest connect one way only ('park?')",
        "1 prompt with a single rater ('park?')",
        "a group never rated a prompt, 2 times (first: 'north' on 'park?')",
        "half of the compared pairs stand on one ballot only",
    ):
        assert text in warnings
    assert "rater-ann" not in str(validate(apart))  # raters are never named


def test_what_was_left_out_is_repeated_and_all_of_it_is_json():
    table = {"rater": ["a", "a", "b"], "prompt": ["x"] * 3, "completion": ["1", "2", "1"], "rank": [1, 2, 1]}
    ballots, report = read(table)
    validation = validate(ballots, report)
    assert validation.facts["size"]["left_out"]["ballots of one completion"] == 1
    assert json.loads(json.dumps(validation.as_dict(), allow_nan=False)) == validation.as_dict()
    assert "left out: ballots of one completion 1" in str(validation)


def test_near_duplicates_stay_within_a_contest():
    long = "the quick brown fox jumps over the lazy dog and goes home"
    ballots = ballots_of([("x", [long, long.upper() + " ", "else"]), ("y", [long, "other"])])
    assert near_duplicates(ballots) == [("x", long, long.upper() + " ")]
    assert near_duplicates(ballots_of([("x", ["a", "b"])])) == []


def test_cost_grows_with_what_is_read():
    small = ballots_of([("x", ["a", "b"])])
    large = ballots_of([("x", list("abcdef")), ("y", list("abc"))])
    assert estimate(large)["seconds"] >= estimate(small)["seconds"]
    assert estimate(small, steps=100_000)["seconds"] > estimate(small)["seconds"]
    assert estimate(small, voters=10_000_000)["megabytes"] > estimate(small)["megabytes"]


TEXTS = st.lists(st.text("ab ", max_size=12), min_size=2, max_size=6, unique=True)


@given(TEXTS, st.sampled_from([0.3, 0.6, 0.9, 1.0]))
def test_near_duplicates_agree_with_brute_force(texts, least):
    """Prefix filtering loses nothing."""

    def shingles(text):
        text = f" {' '.join(text.casefold().split())} ".ljust(5)
        return {text[i : i + 5] for i in range(len(text) - 4)}

    ballots = ballots_of([("x", texts)])
    names = ballots.vocabulary.completions
    expected = [
        ("x", a, b)
        for a, b in itertools.combinations(names, 2)
        if len(shingles(a) & shingles(b)) >= least * len(shingles(a) | shingles(b))
    ]
    assert sorted(near_duplicates(ballots, least=least)) == sorted(expected)
