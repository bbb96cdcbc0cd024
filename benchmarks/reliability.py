"""Planted dishonest raters, and whether they are found: `python benchmarks/reliability.py [DATA ...] [--seeds 0-9]`.

A tenth of the raters is replaced (`socialrm.dishonest`), the individual model learns from all, and every rater gets the scores of
`socialrm.reliability` and `socialrm.influence`. Figures are rows of `benchmarks/results/reliability.csv` (data, plant, seed, figure, value):
the area under the ROC curve of the overall suspicion, of the plant's own story and of influence, and the shares of planted and of honest
raters above the threshold. Influence is asked of the first seed, twice: of the ballots as they are, and of a voter drawn for each rater from the rater's part of
the density. The originals that duplicates copy count as planted: nobody can tell which of two was first. Settings were chosen on seeds 100
and above. The individual models are smaller than the default (one block instead of three, 300 steps instead of 3,000), as many as a run
trains (three for breakfast, one elsewhere); Jester is 300 of the 1,473 raters who rated all, and 40 of the 100 jokes, drawn anew for each seed. A stopped run goes on where it was; `--minutes` stops one. `--readme` writes the table of
benchmarks/README.md and computes nothing.
"""

import argparse
import csv
import time
from pathlib import Path

import jax
import numpy as np
from pages import write_table
from sklearn.metrics import roc_auc_score

from socialrm import datasets
from socialrm.architecture import Architecture
from socialrm.dishonest import PLANTS, copy_from, sources
from socialrm.evidence import read_results
from socialrm.individual import IndividualConfig, embed, rewards, train_individual
from socialrm.influence import Tallies, shapley
from socialrm.learning import RunConfig, members
from socialrm.populations import mallows_mixture, tennessee
from socialrm.reliability import SUSPECT, averaged, reliability
from socialrm.temperature import TEMPERATURES, fit_temperature
from socialrm.training import Optimisation

RESULTS = Path(__file__).parent / "results" / "reliability.csv"
COLUMNS = ("data", "plant", "seed", "figure", "value")
SMALL = IndividualConfig(Architecture(blocks=1), optimisation=Optimisation(steps=300, learning_rate=3e-3))
INFLUENCE = 1  # seeds that influence, which has no bound, is measured on: dearer than all the rest
STORY = {"random": "random", "reversed": "reversed", "reversed Memphis": "reversed"}
CASES = {  # those with a bound first
    "tennessee": ("random", "reversed Memphis", "none", "reversed"),
    "mallows": ("reversed", "duplicated", "colluding", "none", "random", "pushing"),
    "breakfast": ("random", "reversed", "duplicated", "colluding", "none"),
    "jester": ("random", "reversed", "duplicated", "colluding", "none"),
}
EXTRA = {
    ("tennessee", "reversed"),
    ("mallows", "random"),
    ("mallows", "pushing"),
}  # without a bound: asked for by --all


def honest(data, seed):
    """Ballots, and the type of each rater where there are types."""
    key, rng = jax.random.key(60_000 + seed), np.random.default_rng([seed, 3])
    if data == "tennessee":
        population = tennessee(key=key)
        return population.ballots, population.type_of
    if data == "mallows":
        return mallows_mixture(1_000, key=key).ballots, None
    if data == "breakfast":
        return datasets.load("breakfast"), None
    whole = datasets.load("jester-complete")
    some = whole.subset(rng.permutation(whole.n_raters)[:300])
    jokes = rng.permutation(len(whole.vocabulary.completions))[:40]
    return some.keep(np.isin(some.completion, jokes)), None


def planted(data, plant, seed):
    """Ballots with a tenth of the raters replaced, which raters those are, and the types."""
    ballots, types = honest(data, seed)
    rng, bad = np.random.default_rng([seed, 4]), np.zeros(ballots.n_raters, bool)
    if plant == "none":
        return ballots, bad, types
    may = np.flatnonzero(types == 0) if plant == "reversed Memphis" else np.arange(ballots.n_raters)
    who = rng.permutation(may)[: round(0.1 * ballots.n_raters)]
    bad[who] = True
    if plant == "duplicated":
        source = sources(ballots, who, rng=rng)
        bad[source[who]] = True
        return copy_from(ballots, source), bad, types
    return PLANTS[plant.split()[0]](ballots, who, rng=rng), bad, types


def said(ballots):
    """What each rater's ballots say of each pair, contest by contest."""
    found = []
    for prompt in np.unique(ballots.prompt):
        rows = ballots.prompt == prompt
        items = np.unique(ballots.completion[rows][ballots.mask[rows]])
        rank = np.full((ballots.n_raters, len(items)), -1)
        row, place = np.nonzero(ballots.mask & rows[:, None])
        rank[ballots.rater[row], np.searchsorted(items, ballots.completion[row, place])] = ballots.rank[
            row, place
        ]
        known = (rank >= 0)[:, :, None] & (rank >= 0)[:, None, :]
        found.append((known & (rank[:, :, None] < rank[:, None, :])).astype(float))
    return found


def drawn(individual, ballots, z, temperature, rng):
    """What a voter drawn for each rater says of each pair."""
    scored = np.asarray(rewards(individual, z)) / temperature
    watch = Tallies(np.arange(len(z)), np.ones(len(z)), len(z))
    for at, prompt in enumerate(np.unique(individual.pairs.prompt)):
        columns = scored[:, individual.pairs.prompt == prompt]
        watch(at, (-(columns + rng.gumbel(size=columns.shape))).argsort(axis=1).argsort(axis=1))
    return watch.found


def learn(ballots, seed, member):
    """One individual model: itself, preference means, their deviations, a voter of each, what draws, and the temperatures' fit."""
    key = jax.random.key(seed) if member == 0 else jax.random.fold_in(jax.random.key(seed), member)
    individual = train_individual(ballots, SMALL, key=key)
    rng = np.random.default_rng([seed, 5, member][: 3 if member else 2])
    mean, sigma = embed(individual, ballots)
    voters = mean + sigma[:, None] * rng.standard_normal(mean.shape)
    asked = {"voters": 128, "most": 256, "comparisons": 2_048, "rng": rng}
    return individual, mean, sigma, voters, rng, fit_temperature(individual, ballots, voters, **asked)[1]


def measure(data, plant, seed):
    """One case, as rows."""
    ballots, bad, types = planted(data, plant, seed)
    each = [learn(ballots, seed, member) for member in range(members(ballots, RunConfig()))]
    fit = sum(one[-1] for one in each)  # as `socialrm.learning.learn` has it
    temperature = float(TEMPERATURES[fit.argmax()]) if np.ptp(fit) else 1.0
    individual, mean, sigma, voters, rng, _ = each[0]
    found = averaged([reliability(i, ballots, m, s, temperature, rng=r) for i, m, s, _, r, _ in each])
    suspect, story = found.suspicion > SUSPECT, getattr(found, STORY.get(plant, "copied"))
    yield "temperature", temperature
    yield "honest raters suspected", suspect[~bad].mean()
    if not bad.any():
        return
    yield "planted raters suspected", suspect[bad].mean()
    yield "AUC, suspicion", roc_auc_score(bad, found.suspicion)
    yield "AUC, own story", roc_auc_score(bad, story)
    if types is not None:  # against those whose order a reversed Memphis rater's now is
        near = bad | (types == 3)
        yield "AUC against Knoxville, suspicion", roc_auc_score(bad[near], found.suspicion[near])
    if seed >= INFLUENCE:
        return
    for name, tallies in (
        ("ballots", said(ballots)),
        ("density", drawn(individual, ballots, voters, temperature, rng)),
    ):
        moves = shapley(tallies, "borda", rng=rng)
        yield f"AUC, influence on the {name}: pulls away", roc_auc_score(bad, -moves.value)
        yield f"AUC, influence on the {name}: moves", roc_auc_score(bad, moves.moved)


BOUNDS = [
    ("tennessee", "random", 0.95),
    *(("mallows", p, 0.95) for p in ("reversed", "duplicated", "colluding")),
]
BOUNDS += [
    (d, p, 0.8) for d in ("breakfast", "jester") for p in ("random", "reversed", "duplicated", "colluding")
]


def table():
    """Each bound and how often it held."""
    found = read_results("reliability.csv", RESULTS.parent)
    yield from (
        "| data | planted | bound | held | median | lowest | pulls away (influence), first seed |",
        "|---|---|---|---|---|---|---|",
    )
    for data, plant, least in BOUNDS:
        of = lambda figure, **case: found.values(figure=figure, **case)
        case = {"data": data, "plant": plant}
        auc, pulls = of("AUC, suspicion", **case), of("AUC, influence on the ballots: pulls away", **case)
        held = f"{(auc >= least).sum()} of {len(auc)}"
        figures = f"{np.median(auc):.3f} | {auc.min():.3f} | {np.median(pulls):.2f}"
        yield f"| {data} | {plant} | >= {least} | {held} | {figures} |"
    near = found.values(data="tennessee", plant="reversed Memphis", figure="AUC against Knoxville, suspicion")
    within = f"{(np.abs(near - 0.5) <= 0.05).sum()} of {len(near)}"
    yield f"| tennessee | reversed Memphis, against Knoxville's | 0.45 to 0.55 | {within} | {np.median(near):.3f} | {near.min():.3f} | |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--seeds", default="0-9", help="first-last, both counted")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after so long")
    parser.add_argument("--all", action="store_true", help="plants without a bound too")
    parser.add_argument("--readme", action="store_true", help="write the table, compute nothing")
    parser.add_argument("--show", action="store_true", help="print and store nothing")
    asked, begun = parser.parse_args(), time.monotonic()
    if asked.readme:
        return write_table("raters", table())
    first, last = map(int, asked.seeds.split("-"))
    if not RESULTS.exists() and not asked.show:
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    stored = [] if asked.show else csv.DictReader(RESULTS.open(newline=""))
    done = {(r["data"], r["plant"], r["seed"]) for r in stored}
    cases = [(s, d, p) for s in range(first, last + 1) for d in asked.data or CASES for p in CASES[d]]
    for seed, data, plant in sorted(cases, key=lambda case: case[2] == "none"):  # clean data last
        if (data, plant, str(seed)) in done or ((data, plant) in EXTRA and not asked.all):
            continue
        if time.monotonic() - begun > 60 * asked.minutes:
            return
        rows = [(data, plant, seed, f, f"{float(v):.5g}") for f, v in measure(data, plant, seed)]
        print(data, plant, seed, *(f"{row[3]} {row[4]}" for row in rows), sep="  ", flush=True)
        if not asked.show:
            with RESULTS.open("a", newline="") as lines:
                csv.writer(lines, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
