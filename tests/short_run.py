"""A run of seconds through every stage, and the files whose bytes a seed decides."""

from socialrm.architecture import Architecture
from socialrm.individual import IndividualConfig
from socialrm.learning import RunConfig
from socialrm.social import SocialConfig
from socialrm.training import Optimisation

SMALL = Architecture(width=8, heads=2, blocks=1, hidden=8, features=8)  # compiles in a third of the time
FILES = (
    "social_orders.csv",
    "social_pairs.jsonl",
    "voters.npz",
    "individual.safetensors",
    "social.safetensors",
    "vanilla_orders.csv",
    "contests.csv",
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "pairs.json",
)


def short(steps=20, chunk=20, social_steps=200, social_chunk=100, **options):
    """Settings of a run with models of width 8."""
    few = Optimisation(steps=steps, chunk=chunk, batch=16)
    more = Optimisation(steps=social_steps, chunk=social_chunk, batch=64, learning_rate=1e-2)
    individual, social = IndividualConfig(SMALL, optimisation=few), SocialConfig(SMALL, more)
    return RunConfig(individual=individual, social=social, **options)
