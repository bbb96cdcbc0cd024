"""A latent that says nothing: the run warns, and vanilla's rewards complete the ballots."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from socialrm.ballots import make_ballots
from socialrm.diagnostics import latent_health
from socialrm.electorates import profile
from socialrm.individual import IndividualConfig
from socialrm.pipeline import RunConfig, electorate, run, speakers
from socialrm.populations import tennessee

QUICK = replace(IndividualConfig(), optimisation=replace(IndividualConfig().optimisation, steps=60))


@pytest.fixture(scope="module")
def dice():
    """Raters who order two prompts by dice, and leave completion D out of half of the ballots."""
    rng, rows = np.random.default_rng(0), []
    for rater in range(60):
        for prompt in "xy":
            order = rng.permutation(list("ABCD")).tolist()
            rows.append((f"r{rater}", prompt, [c for c in order if c != "D" or rater % 2]))
    return make_ballots(rows)


@pytest.fixture(scope="module")
def silent(dice):
    return run(dice, RunConfig(individual=QUICK, voters=500, members=1, resamples=0, compare=()))


def test_the_run_says_that_the_latent_is_silent_and_what_it_does_about_it(silent):
    assert silent.learned.health.silent
    assert silent.metrics["latent"]["silent"]
    (warning,) = silent.metrics["warnings"]
    assert "silent" in warning and "vanilla reward model" in warning and "collect more" in warning


def test_voters_speak_through_vanilla(dice, silent):
    config = silent.config
    voters = electorate(silent.learned, dice, config)
    models, through = speakers(silent.learned, voters, silent.vanilla)
    assert models == (silent.vanilla,) and through.temperature == 1.0 and through.member is None
    completed = profile(models, through, dice, 0, np.arange(4), key=jax.random.key(1))
    said = dice.profile(0)[through.rater]
    for i in range(4):
        for j in range(4):
            both = (said[:, i] >= 0) & (said[:, j] >= 0)
            kept = (completed[:, i] < completed[:, j])[both] == (said[:, i] < said[:, j])[both]
            assert kept.all(), "a completed ballot contradicts its rater"


def test_a_latent_that_speaks_is_asked(dice, silent):
    loud = replace(silent.learned, health=replace(silent.learned.health, silent=False))
    models, voters = speakers(loud, loud.voters, silent.vanilla)
    assert models == loud.individuals and voters is loud.voters


def test_there_is_nothing_to_shuffle_where_nobody_has_two_ballots(silent):
    individual = silent.learned.individual
    one = tennessee(40, key=jax.random.key(0)).ballots
    health = silent.learned.health
    assert health.shuffled is not None and abs(health.shuffled - health.own) < 0.2
    votes = make_ballots([(f"r{i}", "x", list("ABCD")) for i in range(60)] + [("r0", "y", list("ABCD"))])
    votes = votes.keep(votes.mask & (votes.prompt == 0)[:, None])
    assert one.n_raters == 40
    assert latent_health(individual, votes, rng=np.random.default_rng(0)).shuffled is None
