"""Strict numerics for every test: dtype and rank promotion raise, keys are used once."""

import os

import jax
import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def strict_numerics():
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.debug_key_reuse(True),
    ):
        yield


os.environ.setdefault("SOCIALRM_COMPILED", "off")  # no test writes machine code to the user's cache
