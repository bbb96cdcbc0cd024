"""Planted dishonest raters, and whether they are found: `python benchmarks/reliability.py [DATA ...] [--seeds 0-9]`.

A tenth of the raters is replaced (`socialrm.dishonest`), the individual model learns from all, and every rater gets the scores of
`socialrm.reliability`. Figures are rows of `benchmarks/results/reliability.csv` (data, plant, seed, figure, value): the area under the ROC
curve of the overall suspicion and of the plant's own story, and the shares of planted and of honest raters above the threshold. The
originals that duplicates copy count as planted: nobody can tell which of two was first. Settings were chosen on seeds 100 and above. The
individual model is smaller than the default (one block instead of three, 300 steps instead of 3,000). A stopped run goes on where it was.
"""

import argparse
import csv
from pathlib import Path

import jax
import numpy as np
from sklearn.metrics import roc_auc_score

from socialrm import datasets
from socialrm.architecture import Architecture
from socialrm.dishonest import PLANTS, copy_from, sources
from socialrm.individual import IndividualConfig, embed, train_individual
from socialrm.populations import mallows_mixture, tennessee
from socialrm.reliability import SUSPECT, reliability
from socialrm.temperature import fit_temperature
from socialrm.training import Optimisation

RESULTS = Path(__file__).parent / "results" / "reliability.csv"
COLUMNS = ("data", "plant", "seed", "figure", "value")
SMALL = IndividualConfig(Architecture(blocks=1), optimisation=Optimisation(steps=300))
STORY = {"random": "random", "reversed": "reversed", "reversed Memphis": "reversed"}
CASES = {
    "mallows": ("reversed", "duplicated", "colluding", "random", "pushing", "none"),
    "tennessee": ("random", "reversed Memphis", "reversed", "none"),
    "breakfast": ("random", "reversed", "duplicated", "colluding", "none"),
    "jester": ("random", "reversed", "duplicated", "colluding", "none"),
}


def honest(data, seed):
    """Ballots, and the raters who may be replaced."""
    key, rng = jax.random.key(60_000 + seed), np.random.default_rng([seed, 3])
    if data == "tennessee":
        population = tennessee(key=key)
        return population.ballots, population.type_of
    if data == "mallows":
        return mallows_mixture(1_000, key=key).ballots, None
    if data == "breakfast":
        return datasets.load("breakfast"), None
    whole = datasets.load("jester-complete")
    some = whole.subset(rng.permutation(whole.n_raters)[:600])
    jokes = rng.permutation(len(whole.vocabulary.completions))[:20]
    return some.keep(np.isin(some.completion, jokes)), None


def planted(data, plant, seed):
    """Ballots with a tenth of the raters replaced, and which raters those are."""
    ballots, types = honest(data, seed)
    rng, bad = np.random.default_rng([seed, 4]), np.zeros(ballots.n_raters, bool)
    if plant == "none":
        return ballots, bad
    may = np.flatnonzero(types == 0) if plant == "reversed Memphis" else np.arange(ballots.n_raters)
    who = rng.permutation(may)[: round(0.1 * ballots.n_raters)]
    bad[who] = True
    if plant == "duplicated":
        source = sources(ballots, who, rng=rng)
        bad[source[who]] = True
        return copy_from(ballots, source), bad
    return PLANTS[plant.split()[0]](ballots, who, rng=rng), bad


def measure(data, plant, seed):
    """One case, as rows."""
    ballots, bad = planted(data, plant, seed)
    individual = train_individual(ballots, SMALL, key=jax.random.key(seed))
    rng, (mean, sigma) = np.random.default_rng([seed, 5]), embed(individual, ballots)
    voters = mean + sigma[:, None] * rng.standard_normal(mean.shape)
    temperature, _ = fit_temperature(individual, ballots, voters, rng=rng)
    found = reliability(individual, ballots, mean, sigma, temperature, rng=rng)
    suspect, story = found.suspicion > SUSPECT, getattr(found, STORY.get(plant, "copied"))
    yield "honest raters suspected", suspect[~bad].mean()
    if bad.any():
        yield "AUC, suspicion", roc_auc_score(bad, found.suspicion)
        yield "AUC, own story", roc_auc_score(bad, story)
        yield "planted raters suspected", suspect[bad].mean()
    if plant == "reversed Memphis":  # against those whose order theirs now is
        near = bad | (honest(data, seed)[1] == 3)
        yield "AUC against Knoxville, suspicion", roc_auc_score(bad[near], found.suspicion[near])
    yield "temperature", temperature


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--seeds", default="0-9", help="first-last, both counted")
    parser.add_argument("--show", action="store_true", help="print and store nothing")
    asked = parser.parse_args()
    first, last = map(int, asked.seeds.split("-"))
    if not RESULTS.exists() and not asked.show:
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    stored = [] if asked.show else csv.DictReader(RESULTS.open(newline=""))
    done = {(r["data"], r["plant"], r["seed"]) for r in stored}
    for seed in range(first, last + 1):
        for data in asked.data or CASES:
            for plant in CASES[data]:
                if (data, plant, str(seed)) in done:
                    continue
                rows = [(data, plant, seed, f, f"{float(v):.5g}") for f, v in measure(data, plant, seed)]
                print(data, plant, seed, *(f"{row[3]} {row[4]}" for row in rows), sep="  ", flush=True)
                if not asked.show:
                    with RESULTS.open("a", newline="") as lines:
                        csv.writer(lines, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
