"""The whole path in short form; the ten-seed figures come from `make reproduce`."""

import json
import pickle
from dataclasses import replace

import jax
import numpy as np
import pytest
from short_run import FILES, short

from socialrm import populations
from socialrm.aggregation import aggregate
from socialrm.ballots import make_ballots
from socialrm.diagnostics import order_shares, total_variation
from socialrm.electorates import profile
from socialrm.learning import RunConfig, electorate, learn
from socialrm.pipeline import run
from socialrm.runs import load

pytestmark = pytest.mark.trains

SHORT = short(voters=200)


@pytest.fixture(scope="module")
def morristown():
    """Trained in full on 1,000 raters: the post's example of missing data."""
    population = populations.morristown(1_000, key=jax.random.key(7))
    config = RunConfig(seed=3)
    return population, config, learn(population.ballots, config)


def test_simulated_voters_vote_as_the_population_would(morristown):
    population, config, learned = morristown
    ranks = profile(
        learned.individual, learned.voters, population.ballots, 0, np.arange(5), key=jax.random.key(0)
    )
    truth = dict(zip(map(tuple, next(iter(population.orders.values())).tolist()), population.shares))
    distance = total_variation(order_shares(ranks), truth)
    print(f"total variation {distance:.4f}")
    assert distance <= 0.05


@pytest.mark.parametrize("kind", ["simulated", "completed"])
def test_borda_of_the_electorate_is_borda_of_complete_data(morristown, kind):
    population, config, learned = morristown
    voters = electorate(learned, population.ballots, replace(config, electorate=kind))
    ranks = profile(learned.individual, voters, population.ballots, 0, np.arange(5), key=jax.random.key(0))
    truth = aggregate(population.complete.profile(0), "borda").ranks
    np.testing.assert_array_equal(aggregate(ranks, "borda", weights=voters.weight).ranks, truth)


def test_completed_ballots_keep_every_comparison(morristown):
    population, config, learned = morristown
    ballots = population.ballots
    voters = electorate(learned, ballots, replace(config, electorate="completed"))
    ranks = profile(learned.individual, voters, ballots, 0, np.arange(5), key=jax.random.key(0))
    said = ballots.profile(0)[voters.rater]
    both = (said[:, :, None] >= 0) & (said[:, None, :] >= 0)
    agree = np.sign(ranks[:, :, None] - ranks[:, None, :]) == np.sign(said[:, :, None] - said[:, None, :])
    assert agree[both].all()


def test_two_runs_write_the_same_bytes_and_load_back(tmp_path):
    ballots = populations.tennessee(60, key=jax.random.key(0)).ballots
    for name in ("one", "two"):
        run(ballots, SHORT, out=tmp_path / name)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    found, loaded = run(ballots, SHORT), load(tmp_path / "one")
    v = ballots.vocabulary
    np.testing.assert_array_equal(
        loaded.score([v.prompts[0]] * 4, v.completions), found.social.score()[found.social.pairs.prompt == 0]
    )
    assert "r0" not in (tmp_path / "one" / "pairs.json").read_text()
    pairs = [json.loads(line) for line in (tmp_path / "one" / "social_pairs.jsonl").read_text().splitlines()]
    assert all({"prompt", "chosen", "rejected", "margin", "share", "support"} == set(pair) for pair in pairs)
    assert all(pair["support"] >= 0.9 and 0 <= pair["margin"] <= 1 for pair in pairs)


def test_random_ballot_runs_and_other_seeds_differ():
    ballots = populations.tennessee(60, key=jax.random.key(0)).ballots
    one = run(ballots, replace(SHORT, rule="random_ballot"))
    two = run(ballots, replace(SHORT, rule="random_ballot", seed=1))
    assert np.isfinite(one.social.score()).all()
    assert not np.array_equal(one.learned.voters.z, two.learned.voters.z)


@pytest.mark.parametrize("kind", ["simulated", "completed"])
def test_an_ensemble_votes(kind):
    ballots = populations.morristown(60, key=jax.random.key(0)).ballots
    found = run(ballots, replace(SHORT, members=2, electorate=kind))
    assert len(found.learned.individuals) == found.metrics["members"] == 2
    assert sorted(found.order.ranks[0]) == list(range(5))
    first, second = found.learned, found.learned.others[0]
    assert not np.array_equal(first.mean, second.mean)
    assert first.voters.temperature == second.voters.temperature
    with pytest.raises(ValueError, match="at least one model"):
        replace(SHORT, members=0)


def test_weights_of_raters_reach_the_rule():
    rows = [(f"r{i}", "p", ["a", "b"] if i < 30 else ["b", "a"]) for i in range(40)]
    heavy = make_ballots(rows, weight={f"r{i}": 9.0 for i in range(30, 40)})
    assert run(make_ballots(rows), SHORT).order.ranks.tolist() == [[0, 1]]
    assert run(heavy, SHORT).order.ranks.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "rows",
    [
        [("only", "p", ["a", "b", "c"])],
        [("only", "p", [["a", "b"]])],
        [("ann", "p", ["a", "b"]), ("bob", "q", ["c", "d", "e"])],
        [(f"r{i}", "p", ["a", "b"]) for i in range(30)],
        [("ann", "p", ["a", "b"]), ("ann", "p", ["b", "c"]), ("ann", "p", ["c", "a"])],
    ],
    ids=["one rater", "one tie", "two prompts, unequal contests", "unanimous", "a cycle"],
)
def test_small_and_odd_data_goes_through(rows, tmp_path):
    found = run(make_ballots(rows), SHORT, out=tmp_path / "run")
    assert np.isfinite(found.social.score()).all()
    assert (tmp_path / "run" / "report.html").stat().st_size > 0


def test_a_pickle_in_a_run_is_refused_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("exploded").touch, ())

    run(populations.tennessee(40, key=jax.random.key(0)).ballots, SHORT, out=tmp_path / "run")
    for name in ("social.safetensors", "individual.safetensors"):
        good = (tmp_path / "run" / name).read_bytes()
        (tmp_path / "run" / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            load(tmp_path / "run")
        (tmp_path / "run" / name).write_bytes(good)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_in_use_is_refused_before_any_work(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    ballots = populations.tennessee(40, key=jax.random.key(0)).ballots
    with pytest.raises(ValueError, match="not empty"):
        run(ballots, SHORT, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("target", ["probability", "log_probability", "win_rate"])
def test_a_lottery_can_be_the_target_itself(target):
    ballots = populations.tennessee(60, key=jax.random.key(0)).ballots
    found = run(ballots, replace(SHORT, rule="random_dictator", target=target))
    best = [set(np.flatnonzero(found.order.ranks[contest] == 0)) for contest in (0, 1)]
    score = found.social.score().reshape(2, 4)
    if target != "win_rate":
        assert all(score[contest].argmax() in best[contest] for contest in (0, 1))
    assert np.isfinite(score).all()


def test_a_target_that_needs_a_lottery_says_so():
    with pytest.raises(ValueError, match="needs a lottery"):
        replace(SHORT, rule="borda", target="probability")


def test_a_large_electorate_is_counted_and_its_rankings_are_not_held(monkeypatch):
    """Whoever looks on sees the sample; margins are those of everybody, within the noise of two draws."""
    from socialrm import counting, learning
    from socialrm.pipeline import speakers

    monkeypatch.setattr(counting, "HELD", 500)
    monkeypatch.setattr(counting, "SAMPLE", 100)
    ballots, held, draw = populations.tennessee(40, key=jax.random.key(0)).ballots, [], learning.draw_each
    monkeypatch.setattr(
        learning, "draw_each", lambda m, v, *a, **k: held.append(len(v.z)) or draw(m, v, *a, **k)
    )
    config = replace(SHORT, rule="copeland", compare=("irv",), electorate="simulated", voters=5_000)
    found = run(ballots, config)
    assert set(held) == {100}
    (said,) = [w for w in found.metrics["warnings"] if "counted" in w]
    assert said.startswith("5,000 voters were counted") and "irv are those of 100 of them" in said
    models, voters = speakers(found.learned, found.learned.voters, found.vanilla)
    contests, key = found.contests, jax.random.key(5)
    _, _, shares = learning.vote(models, voters, ballots, contests, ("copeland",), key=key)
    assert np.abs(found.margins - shares).max() < 5 * np.sqrt(2 / 5_000)
    assert found.support.resamples > 0 and set(found.orders) == {"copeland", "irv"}
