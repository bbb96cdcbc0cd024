"""How the default configuration was chosen, on data that no result is reported on; appends to benchmarks/results/tuning.csv.

    python benchmarks/tune.py [--sets J60 ...] [--seeds 100 ...] [--settings "" "beta=0.3" ...]

Sets: raters and jokes drawn from Jester (J60: 60 raters x 15 jokes, J150, J600), Mallows mixtures (M200), spatial populations
(S40: 4 prompts, noiseless). 30% of the places are hidden by type or at random, and completed ballots and simulated voters are scored against all.
T and I are Tennessee and `inverted_missing`, complete as the populations give them: total variation of 10,000 simulated voters, worst prompt.
The settings are fields of IndividualConfig or Optimisation; `--variational "beta=0.3"` instead gives fields of VariationalConfig, for that baseline alone. Columns: set, mask, seed, settings, score, value. Seeds from 100: results are reported on 0 to 19.
tuning_exploration.csv has the wider search that came before (steps, beta, and the power of the unexplained share), by a forerunner of this script.
"""

import argparse
import csv
import time
from dataclasses import fields, replace
from pathlib import Path

import jax
import numpy as np
from real_data import BASELINES, ours

from socialrm.ballots import Ballots
from socialrm.datasets import load
from socialrm.density import fit_density
from socialrm.electorates import profile, simulated
from socialrm.individual import IndividualConfig, embed, train_individual
from socialrm.missing import compare, hide_at_random, hide_by_type, truth
from socialrm.populations import inverted_missing, mallows_mixture, spatial, tennessee
from socialrm.temperature import fit_temperature
from socialrm.training import Optimisation
from socialrm.variational import VariationalConfig, variational_estimates

RESULTS = Path(__file__).parent / "results" / "tuning.csv"


def jester(raters: int, jokes: int, seed: int) -> Ballots:
    """Some raters and some jokes of the complete block."""
    whole, rng = load("jester-complete"), np.random.default_rng(seed)
    some = whole.subset(np.sort(rng.permutation(whole.n_raters)[:raters]))
    return some.keep(np.isin(some.completion, rng.permutation(100)[:jokes]))


def mallows(seed: int) -> Ballots:
    """Very noisy types."""
    settings = dict(phi=0.7, prompts=2, completions=8, centres_seed=seed)
    return mallows_mixture(200, key=jax.random.key(seed), **settings).complete


SETS = {
    "J60": lambda seed: jester(60, 15, seed),
    "J150": lambda seed: jester(150, 10, seed),
    "J600": lambda seed: jester(600, 12, seed),
    "M200": mallows,
    "S40": lambda seed: (
        spatial(40, key=jax.random.key(seed), prompts=4, completions=10, places_seed=seed).complete
    ),
}
POPULATIONS = {"T": tennessee, "I": inverted_missing}


def settings_of(text: str) -> IndividualConfig:
    """A configuration from "beta=0.3, steps=1000"."""
    pairs = dict(part.split("=") for part in text.replace(" ", "").split(",") if part)
    numbers = {name: float(v) if "." in v else int(v) for name, v in pairs.items()}
    inner = {field.name for field in fields(Optimisation)} & set(numbers)
    config = replace(IndividualConfig(), **{k: v for k, v in numbers.items() if k not in inner})
    return replace(config, optimisation=replace(config.optimisation, **{k: numbers[k] for k in inner}))


def total_variation(name: str, seed: int, config: IndividualConfig) -> dict[str, float]:
    """Between simulated voters' orders and the population's, on the worst prompt; and the seconds that training took."""
    population, start = POPULATIONS[name](key=jax.random.key(seed)), time.monotonic()
    ballots, rng = population.ballots, np.random.default_rng(seed)
    individual = train_individual(ballots, config, key=jax.random.key(seed))
    seconds = time.monotonic() - start
    density, _ = fit_density(*embed(individual, ballots), ballots.weight, rng=rng)
    temperature, _ = fit_temperature(individual, ballots, density.sample(2_000, rng=rng)[0], rng=rng)
    voters, _ = simulated(density, 10_000, rng=rng, temperature=temperature)
    contests, worst = ballots.contests(), 0.0
    for prompt, candidates in zip(contests.prompt, contests.completion):
        voted = profile(individual, voters, ballots, int(prompt), candidates, key=jax.random.key(seed))
        code = lambda ranks: ranks @ (ranks.shape[1] ** np.arange(ranks.shape[1]))
        both = code(voted), code(population.complete.profile(int(prompt)))
        kinds = np.union1d(*both)
        shares = [(one[:, None] == kinds).mean(axis=0) for one in both]
        worst = max(worst, 0.5 * float(np.abs(shares[0] - shares[1]).sum()))
    return {
        "total variation": worst,
        "seconds": seconds,
        "temperature": temperature,
        "components": len(density.share),
    }


def masked_errors(name: str, kind: str, seed: int, config: IndividualConfig, baselines) -> dict[str, float]:
    """Scores of every electorate, and of these baselines, as "method score"."""
    whole, rng = SETS[name](seed), np.random.default_rng(seed)
    ballots = whole.keep(
        hide_at_random(whole, rng=rng) if kind == "random" else hide_by_type(whole, rng=rng).stays
    )
    contests, goal = ballots.contests(), truth(whole, whole.contests())
    found = {m: f(ballots, contests, rng=np.random.default_rng(seed)) for m, f in baselines.items()}
    found |= ours(ballots, seed, config)
    return {f"{m} {s}": v for m, e in found.items() for s, v in compare(e, goal).items() if np.isfinite(v)}


def variational_errors(name: str, seed: int, text: str) -> dict[str, float]:
    """Scores of the variational baseline with these settings, items hidden by type."""
    whole, rng = SETS[name](seed), np.random.default_rng(seed)
    ballots = whole.keep(hide_by_type(whole, rng=rng).stays)
    contests, goal = ballots.contests(), truth(whole, whole.contests())
    pairs = dict(part.split("=") for part in text.replace(" ", "").split(",") if part)
    config = VariationalConfig(**{k: float(v) if "." in v else int(v) for k, v in pairs.items()})
    found = variational_estimates(ballots, contests, rng=np.random.default_rng(seed), config=config)
    return {f"{m} {s}": v for m, e in found.items() for s, v in compare(e, goal).items() if np.isfinite(v)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=[*SETS, *POPULATIONS])
    parser.add_argument("--kinds", nargs="+", default=["type"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101, 102])
    parser.add_argument("--settings", nargs="+", default=["", "sharpen=0,beta=0.05,looks=100000"])
    parser.add_argument(
        "--variational", nargs="+", help="settings of the variational baseline; nothing else is run"
    )
    parser.add_argument("--ours", action="store_true", help="leave the baselines out")
    asked = parser.parse_args()
    if not RESULTS.exists():
        RESULTS.write_text("set,mask,seed,settings,score,value\n")
    for seed in asked.seeds if asked.variational else ():
        for name in (name for name in asked.sets if name in SETS):
            for text in asked.variational:
                row = variational_errors(name, seed, text)
                with RESULTS.open("a", newline="") as file:
                    said = f"variational {text or 'default'}"
                    out = csv.writer(file, lineterminator="\n")
                    out.writerows((name, "type", seed, said, s, f"{v:.5f}") for s, v in row.items())
                print(
                    name,
                    seed,
                    said,
                    {s: round(v, 3) for s, v in row.items() if "borda_error" in s},
                    flush=True,
                )
    for seed in asked.seeds if not asked.variational else ():
        for name in asked.sets:
            for kind in asked.kinds if name in SETS else ["none"]:
                for text in asked.settings:
                    config = settings_of(text)
                    row = (
                        masked_errors(name, kind, seed, config, {} if asked.ours else BASELINES)
                        if name in SETS
                        else total_variation(name, seed, config)
                    )
                    with RESULTS.open("a", newline="") as file:
                        out = csv.writer(file, lineterminator="\n")
                        out.writerows(
                            (name, kind, seed, text or "default", s, f"{v:.5f}") for s, v in row.items()
                        )
                    told = {s: round(v, 3) for s, v in row.items() if "borda_error" in s or name not in SETS}
                    print(name, kind, seed, text or "default", told, flush=True)
