"""How the default configuration was chosen, on data that no result is reported on; appends to benchmarks/results/tuning.csv.

    python benchmarks/tune.py [--sets J60 ...] [--seeds 100 ...] [--settings "" "beta=0.3" ...]

Sets: raters and jokes drawn from Jester (J60: 60 raters x 15 jokes, J150, J600), Mallows mixtures (M200), spatial populations
(S40: 4 prompts, noiseless). 30% of the places are hidden by type or at random, and completed ballots and simulated voters are scored against all.
T and I are Tennessee and `inverted_missing`, complete as the populations give them: total variation of 10,000 simulated voters, worst prompt.
The settings are fields of IndividualConfig or Optimisation; `--variational "beta=0.3"` instead gives fields of VariationalConfig, for that baseline alone. Columns: set, mask, seed, settings, score, value. Seeds from 100: results are reported on 0 to 19.
`--completing` instead asks whether ballots should be completed in another way than they are: at temperature 1, at one fitted on hidden places, half of them by the mixture of Plackett-Luce models, or by three members
of an ensemble where the default trains one; appends to completing.csv.
tuning_exploration.csv has the wider search that came before (steps, beta, and the power of the unexplained share), by a forerunner of this script.
"""

import argparse
import csv
import time
from dataclasses import fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from configuration import exchange
from real_data import BASELINES, ours

from socialrm.ballots import Ballots
from socialrm.datasets import load
from socialrm.density import fit_density
from socialrm.diagnostics import hide
from socialrm.electorates import profile, simulated
from socialrm.estimates import Estimate, from_profiles
from socialrm.individual import IndividualConfig, embed, rewards, train_individual
from socialrm.learning import RunConfig, electorate, learn
from socialrm.losses import list_mle
from socialrm.missing import compare, hide_at_random, hide_by_type, truth
from socialrm.populations import inverted_missing, mallows_mixture, spatial, tennessee
from socialrm.temperature import TEMPERATURES, fit_temperature
from socialrm.training import Optimisation
from socialrm.variational import VariationalConfig, variational_estimates

RESULTS = Path(__file__).parent / "results" / "tuning.csv"
COMPLETING = RESULTS.with_name("completing.csv")


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


@jax.jit
def hidden_nats(scored, rank, where, shown, rater, temperatures):
    """Log likelihood of ballots given their visible places, representations integrated out, at each temperature."""
    each = jax.vmap(jax.vmap(list_mle), (0, None, None))

    def at(temperature):
        gain = each(scored / temperature, rank, shown) - each(scored / temperature, rank, where)
        of_rater = jax.vmap(lambda g: jax.ops.segment_sum(g, rater, len(rank)))(gain)
        return jax.nn.logsumexp(of_rater, axis=0).sum()

    return jax.lax.map(at, temperatures)


def completion_temperature(individuals, ballots: Ballots, *, rng, draws: int = 16, looks: int = 4) -> float:
    """The temperature at which held-out raters' hidden places are likeliest, given what stays visible of each."""
    curve, grid = np.zeros(len(TEMPERATURES)), jnp.asarray(TEMPERATURES, jnp.float32)
    for individual in individuals:
        some = ballots.subset(individual.held_out)
        pair = np.maximum(individual.pairs.index(some.prompt[:, None], some.completion), 0)
        for _ in range(looks):
            shown = hide(some, 0.3, rng=rng)
            mean, sigma = embed(individual, some, shown=shown)
            z = mean + sigma[:, None] * rng.standard_normal((draws, *mean.shape))
            scored = jnp.stack([rewards(individual, each)[some.rater[:, None], pair] for each in z])
            curve += hidden_nats(scored, some.rank, some.mask, shown, some.rater, grid)
    return float(TEMPERATURES[curve.argmax()])


def completing_errors(name: str, seed: int) -> dict[tuple[str, str], float]:
    """Scores of completed ballots by (way of completing, score), items hidden by type."""
    whole, rng = set_of(name)(seed), np.random.default_rng(seed)
    ballots = whole.keep(hide_by_type(whole, rng=rng).stays)
    contests, goal = ballots.contests(), truth(whole, whole.contests())
    run = RunConfig(seed=seed, voters=20_000, electorate="completed")
    learned, fitted = learn(ballots, run), np.random.default_rng(seed)
    three = learn(ballots, replace(run, members=3))
    heats = {
        "as it is": learned.voters.temperature,
        "at temperature 1": 1.0,
        "at the temperature of hidden places": completion_temperature(
            learned.individuals, ballots, rng=fitted
        ),
    }
    found, key = {}, lambda prompt: jax.random.fold_in(jax.random.key(seed), int(prompt))
    for way, heat in (heats | {"by three members": three.voters.temperature}).items():
        one = three if way == "by three members" else learned
        voters = replace(electorate(one, ballots, run), temperature=heat)
        given = one.individuals, voters, ballots
        ranks = [
            profile(*given, int(prompt), some, key=key(prompt))[:, some >= 0]
            for prompt, some in zip(contests.prompt, contests.completion)
        ]
        found[way] = from_profiles(contests, ranks, voters.weight)
    mixed = BASELINES["mixture"](ballots, contests, rng=np.random.default_rng(seed))
    plain = found["as it is"]
    both = Estimate((plain.support + mixed.support) / 2, (plain.first + mixed.first) / 2)
    found |= {"by the mixture": mixed, "half by the mixture": both}
    told = {(way, s): v for way, e in found.items() for s, v in compare(e, goal).items() if np.isfinite(v)}
    told |= {(way, "temperature"): heat for way, heat in heats.items()}
    return told | {("as it is", "silent"): float(learned.health.silent)}


def set_of(name: str):
    """A set by its name; J400x8 is 400 Jester raters and 8 jokes."""
    if name in SETS:
        return SETS[name]
    raters, jokes = map(int, name.removeprefix("J").split("x"))
    return lambda seed: jester(raters, jokes, seed)


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
    parser.add_argument("--completing", action="store_true", help="ways to complete ballots; nothing else")
    asked = parser.parse_args()
    if not RESULTS.exists():
        RESULTS.write_text("set,mask,seed,settings,score,value\n")
    if asked.completing:
        for seed in asked.seeds:
            for name in asked.sets:
                row = completing_errors(name, seed)
                rows = [(name, seed, way, s, f"{v:.5f}") for (way, s), v in row.items()]
                this = (name, str(seed))
                gone = lambda r, this=this: (r["set"], r["seed"]) == this
                exchange(COMPLETING, ("set", "seed", "way", "score", "value"), gone, rows)
                errors = {way: round(v, 3) for (way, s), v in row.items() if s == "borda_error"}
                print(name, seed, errors, flush=True)
        raise SystemExit
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
