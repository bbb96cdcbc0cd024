"""Losses and masks under strict dtype and rank promotion."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from socialrm.losses import list_mle, pairwise
from socialrm.masking import Masking, draw_masks


@given(
    scores=arrays(np.float32, 5, elements=st.floats(-50, 50, width=32)),
    steps=arrays(bool, 4),
    where=arrays(bool, 5),
    shift=st.floats(-100, 100, width=32),
)
def test_losses_ignore_shifts_and_masked_places(scores, steps, where, shift):
    rank = jnp.asarray(np.concatenate([[0], np.cumsum(steps)]), jnp.int32)
    where, scores = jnp.asarray(where), jnp.asarray(scores)
    for loss in (list_mle, pairwise):
        value, gradient = jax.value_and_grad(loss)(scores, rank, where)
        shifted = loss(scores + jnp.float32(shift), rank, where)
        masked = loss(jnp.where(where, scores, jnp.float32(1e6)), rank, where)
        np.testing.assert_allclose(shifted, value, rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(masked, value, rtol=1e-5)
        assert jnp.isfinite(gradient).all() and (gradient[~where] == 0).all()
        assert value >= -1e-4


def test_losses_agree_jitted_and_not():
    scores, rank, where = jnp.array([0.3, -1.0, 2.0]), jnp.array([0, 0, 1]), jnp.ones(3, bool)
    for loss in (list_mle, pairwise):
        np.testing.assert_allclose(loss(scores, rank, where), jax.jit(loss)(scores, rank, where), rtol=1e-6)


def test_masks_of_a_pair_are_whole():
    valid = jnp.array([[True, True, False], [True, True, True]])
    for seed in range(50):
        masks = draw_masks(valid, jnp.float32(0.6), Masking(), key=jax.random.key(seed))
        assert masks.visible[0].sum() in (0, 2) and masks.target[0].sum() in (0, 2)
