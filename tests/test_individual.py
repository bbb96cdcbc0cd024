"""Properties of the individual reward model that must hold before and after any training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from socialrm.architecture import Architecture
from socialrm.ballots import make_ballots
from socialrm.individual import IndividualConfig, embed, objective, rewards, train_individual
from socialrm.masking import FAILING, Masking
from socialrm.populations import tennessee
from socialrm.training import Optimisation

pytestmark = pytest.mark.trains

QUICK = IndividualConfig(
    Architecture(width=8, heads=2, blocks=2, hidden=8, features=8),
    optimisation=Optimisation(steps=20, chunk=20, batch=16),
)


@pytest.fixture(scope="module")
def ballots():
    return tennessee(40, key=jax.random.key(0)).ballots


@pytest.fixture(scope="module")
def individual(ballots):
    return train_individual(ballots, QUICK, key=jax.random.key(1))


@given(shown=arrays(bool, (80, 4)), seed=st.integers(0, 100))
def test_hidden_completions_never_change_the_mean(ballots, individual, shown, seed):
    """Shuffle what is hidden among the hidden places of each ballot: nothing moves, to the last bit."""
    rng = np.random.default_rng(seed)
    completion = ballots.completion.copy()
    for row, seen in zip(completion, shown):
        row[~seen] = rng.permutation(row[~seen])
    changed = type(ballots)(
        completion,
        ballots.rank,
        ballots.prompt,
        ballots.rater,
        ballots.weight,
        ballots.group,
        ballots.vocabulary,
    )
    mean, sigma = embed(individual, ballots, shown=shown)
    other, other_sigma = embed(individual, changed, shown=shown)
    np.testing.assert_array_equal(mean, other)
    np.testing.assert_array_equal(sigma, other_sigma)


def test_same_key_same_bits_another_key_other_bits(ballots, individual):
    again = train_individual(ballots, QUICK, key=jax.random.key(1))
    other = train_individual(ballots, QUICK, key=jax.random.key(2))
    leaves = [jax.tree.leaves(nnx.state(trained.model)) for trained in (individual, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1]))
    assert not all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2]))
    assert individual.history == again.history


def test_held_out_raters_are_never_trained_on(ballots, individual):
    """The arrays of a model do not depend on what held-out raters said."""
    said = ballots.completion.copy()
    held = np.isin(ballots.rater, individual.held_out)
    said[held] = said[held][:, ::-1]
    changed = type(ballots)(
        said, ballots.rank, ballots.prompt, ballots.rater, ballots.weight, ballots.group, ballots.vocabulary
    )
    other = train_individual(changed, QUICK, key=jax.random.key(1))
    pairs = zip(jax.tree.leaves(nnx.state(individual.model)), jax.tree.leaves(nnx.state(other.model)))
    assert len(individual.held_out) == 4
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_rater_with_more_ballots_than_a_look_is_seen_whole():
    """Each look beyond the first changes the mean."""
    names = [f"c{i}" for i in range(8)]
    rng = np.random.default_rng(0)
    rows = [(f"r{r}", "p", list(rng.permutation(names)[:2])) for r in range(5) for _ in range(10)]
    ballots = make_ballots(rows)
    narrow = IndividualConfig(
        architecture=Architecture(width=8, heads=2, blocks=1, context=4),
        optimisation=QUICK.optimisation,
        held_out=0.0,
    )
    trained = train_individual(ballots, narrow, key=jax.random.key(0))
    whole, _ = embed(trained, ballots)
    for last in range(10):
        shown = np.ones(ballots.rank.shape, bool)
        shown[last] = False
        assert not np.allclose(embed(trained, ballots, shown=shown)[0][0], whole[0], atol=1e-6)


@pytest.mark.parametrize("masking", [Masking(), *FAILING.values()], ids=["curriculum", *FAILING])
def test_gradients_are_finite_under_every_masking(ballots, individual, masking):
    from dataclasses import replace

    from socialrm.pairs import interpretation_inputs, make_examples

    config = replace(individual.config, masking=masking)
    examples = make_examples(ballots, individual.pairs, interpretation_inputs(individual.pairs, config))
    data = examples, jnp.arange(40)
    for fraction in (0.0, 1.0):
        loss = lambda model, f=fraction: objective(
            model, data, jnp.float32(f), config, 8, key=jax.random.key(3)
        )[0]
        gradient = nnx.grad(loss)(individual.model)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_rewards_of_unknown_pairs_are_asked_for_by_table(ballots, individual):
    z = np.zeros((2, individual.config.architecture.latent))
    assert rewards(individual, z).shape == (2, 8)
    np.testing.assert_array_equal(rewards(individual, z)[0], rewards(individual, z)[1])
