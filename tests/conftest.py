"""Strict numerics for every test: dtype and rank promotion raise, keys are used once. Trainings (`pytest.mark.trains`) keep the last only."""

import os

import jax
import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def strict_numerics(request):
    """Models and optimisers mix counts with floats as their libraries do; losses and rules are tested strictly."""
    trains = request.node.get_closest_marker("trains")
    with (
        jax.numpy_dtype_promotion("standard" if trains else "strict"),
        jax.numpy_rank_promotion("allow" if trains else "raise"),
        jax.debug_key_reuse(True),
    ):
        yield


os.environ.setdefault("SOCIALRM_COMPILED", "off")  # no test writes machine code to the user's cache
