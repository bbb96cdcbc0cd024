"""Ensembles of social reward models: trained at once, stored in one file, scored by objective."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from socialrm.ballots import make_ballots
from socialrm.cli import app
from socialrm.individual import IndividualConfig
from socialrm.pairs import Pairs
from socialrm.pipeline import RunConfig, run
from socialrm.pools import rater_ballots
from socialrm.populations import tennessee
from socialrm.runs import load
from socialrm.social import SocialConfig, train_reward
from socialrm.training import Optimisation

pytestmark = pytest.mark.trains


SHORT = Optimisation(steps=60, chunk=20, batch=512, learning_rate=1e-2, weight_decay=0.0)


def test_run_with_members_is_stored_loaded_and_scored_by_objective(tmp_path):
    ballots = tennessee(100, key=jax.random.key(0)).ballots
    config = RunConfig(
        voters=100,
        resamples=5,
        members=1,
        individual=IndividualConfig(optimisation=Optimisation(steps=40, chunk=20)),
        social=SocialConfig(optimisation=SHORT, members=3),
    )
    found = run(ballots, config, out=tmp_path / "run")
    assert found.vanilla.config.members == 1
    arrays = load_file(tmp_path / "run" / "social.safetensors")
    assert {len(array) for array in arrays.values()} == {3}
    loaded, pairs = load(tmp_path / "run"), found.social.pairs
    prompts = [ballots.vocabulary.prompts[p] for p in pairs.prompt]
    completions = [ballots.vocabulary.completions[c] for c in pairs.completion]
    for objective in ("mean", "worst", "uncertainty"):
        wanted = found.social.score(objective=objective)
        np.testing.assert_array_equal(loaded.score(prompts, completions, objective), wanted)
    with pytest.raises(ValueError, match="no objective 'best'"):
        loaded.score(prompts, completions, "best")
    rows = tmp_path / "rows.csv"
    rows.write_text(f"prompt,completion\n{prompts[0]},{completions[0]}\n{prompts[0]},{completions[1]}\n")
    said = CliRunner().invoke(app, ["score", str(tmp_path / "run"), str(rows), "--objective", "worst"])
    got = [float(line.split(",")[-1]) for line in said.stdout.splitlines()[1:]]
    np.testing.assert_allclose(got, found.social.score(objective="worst")[:2], rtol=1e-6)


def test_one_member_is_the_plain_model():
    ballots = tennessee(60, key=jax.random.key(0)).ballots
    pairs, config = Pairs.of(ballots), SocialConfig(optimisation=SHORT)
    assert config == replace(config, members=1)
    plain = train_reward(rater_ballots(ballots, pairs), pairs, config, key=jax.random.key(1))
    expected = np.asarray(plain.model.score_pinned((pairs.prompt, pairs.completion)))
    for objective in ("mean", "worst", "uncertainty"):
        np.testing.assert_array_equal(plain.score(objective=objective), expected)


def test_members_differ_and_are_centred_on_what_they_were_trained_on():
    made = [
        (f"r{i}", p, ["a", "b", "c"] if (i + len(p)) % 3 else ["b", "c", "a"])
        for i in range(9)
        for p in ("one", "three")
    ]
    ballots = make_ballots(made)
    pairs = Pairs.of(ballots)
    config = SocialConfig(optimisation=SHORT, members=4)
    reward = train_reward(rater_ballots(ballots, pairs), pairs, config, key=jax.random.key(0))
    each = reward.members().reshape(4, 2, 3)
    np.testing.assert_allclose(each.mean(axis=2), 0.0, atol=1e-5)
    assert len(np.unique(each[:, 0, 0])) == 4
    again = train_reward(rater_ballots(ballots, pairs), pairs, config, key=jax.random.key(0))
    np.testing.assert_array_equal(again.members(), reward.members())


def test_no_members_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        SocialConfig(members=0)
