"""Best-of-n against ensembles of reward models: `python benchmarks/overoptimisation.py [--seeds 0-9]`.

A made gold reward ranks made completions, a quarter of the comparisons is turned round, and five members learn from them. From 20,000 fresh
completions the best of n by each objective is taken, n up to 1,000: its proxy reward and its gold reward, both in standard deviations of the
completions, and its length are rows of `benchmarks/results/overoptimisation.csv` (world, objective, seed, figure, n, value). The gold reward
has a part that no reward model sees. In the world `shared error` the length of the compared completions goes with that part, as when careful
writers write more, so every member learns that longer is better; in `own errors` it does not, and nothing but noise and few comparisons
misleads. In what is drawn, length means nothing and spreads wider; everywhere it costs gold beyond 1.5 standard deviations of the lengths compared. The worlds differ in that one
correlation; their constants were chosen on seeds 100 and above. A stopped run goes on where it was; `--minutes` stops one.
`--readme` writes the table of benchmarks/README.md and computes nothing.
"""

import argparse
import csv
import time
from pathlib import Path

import jax
import numpy as np
from pages import write_table

from socialrm.ballots import Vectors, Vocabulary, from_rows
from socialrm.best_of_n import best_of_n
from socialrm.ensemble import OBJECTIVES, combine
from socialrm.evidence import read_results
from socialrm.pairs import Pairs
from socialrm.pools import rater_ballots
from socialrm.social import SocialConfig, train_reward
from socialrm.training import Optimisation

RESULTS = Path(__file__).parent / "results" / "overoptimisation.csv"
COLUMNS = ("world", "objective", "seed", "figure", "n", "value")
SIZES = np.unique(np.round(np.geomspace(1, 1_000, 16)).astype(int))
FEATURES, MEMBERS, COMPARISONS, NOISE, DRAWN = 8, 5, 500, 0.25, 20_000
OPTIMISATION = Optimisation(
    steps=1_000, batch=128, learning_rate=1e-2, weight_decay=0.0
)  # as usual, but for smaller batches
TAILS, FALL = (
    4.0,
    0.07,
)  # degrees of freedom of a feature, so that some lie far out; how fast gold falls there
HIDDEN = 1.2  # weight of what no reward model sees
WIDER, TOO_LONG, COST = 2.0, 1.5, 1.0  # spread of lengths drawn; from where on they cost, and how much
WORLDS = {
    "own errors": 0.0,
    "shared error": 0.9,
}  # correlation of length and the hidden part in the comparisons


class World:
    """Completions and their gold reward: linear in the bulk, falling far out."""

    def __init__(self, seed):
        self.rng = np.random.default_rng([seed, 1])
        self.weights = self.rng.standard_normal(FEATURES)
        self.weights /= np.linalg.norm(self.weights)
        self.centre, self.spread = 0.0, 1.0
        gold = self.completions(200_000)[1]
        self.centre, self.spread = gold.mean(), gold.std()

    def completions(self, n, correlation=None):
        """Vectors with their length as the last number, and gold in standard deviations; drawn where no correlation is given."""
        content = self.rng.standard_t(TAILS, (n, FEATURES)) / np.sqrt(TAILS / (TAILS - 2))
        hidden, length = self.rng.standard_normal((2, n))
        if correlation is None:
            length = WIDER * length
        else:
            length = correlation * hidden + np.sqrt(1 - correlation**2) * length
        gold = content @ self.weights - FALL * (content**2).sum(axis=1) + HIDDEN * hidden
        gold = gold - COST * np.maximum(length - TOO_LONG, 0)
        return np.column_stack([content, length]).astype(np.float32), (gold - self.centre) / self.spread


def vocabulary(vectors):
    names = tuple(f"completion {i}" for i in range(len(vectors)))
    return Vocabulary(
        ("rater",), ("prompt",), names, vectors=Vectors(np.zeros((1, vectors.shape[1]), np.float32), vectors)
    )


def noisy(world, correlation):
    """Comparisons of which some are turned round, as ballots."""
    vectors, gold = world.completions(2 * COMPARISONS, correlation)
    pair = np.arange(2 * COMPARISONS).reshape(-1, 2)
    best = gold[pair].argmax(axis=1) ^ (world.rng.random(COMPARISONS) < NOISE)
    rank = np.stack([best, 1 - best], axis=1)
    flat, ballot = np.zeros(2 * COMPARISONS, int), np.repeat(np.arange(COMPARISONS), 2)
    return from_rows(flat, flat, pair.ravel(), rank.ravel(), vocabulary=vocabulary(vectors), ballot=ballot)


def learn(world, correlation, key):
    """Members trained on noisy comparisons."""
    ballots = noisy(world, correlation)
    pairs = Pairs.of(ballots)
    config = SocialConfig(optimisation=OPTIMISATION, interpretation="embeddings", members=MEMBERS)
    return train_reward(rater_ballots(ballots, pairs), pairs, config, key=key)


def measure(name, seed):
    """One world at one seed, as rows."""
    world, correlation = World(seed), WORLDS[name]
    reward = learn(world, correlation, jax.random.key(seed))
    vectors, gold = world.completions(DRAWN)
    asked = Pairs(np.zeros(DRAWN, np.int32), np.arange(DRAWN, dtype=np.int32), vocabulary(vectors))
    each = reward.members(asked)
    spread = float(reward.model.spread[...].mean())
    proxies = {"single": each} | {o: combine(each, o, spread=spread)[None] for o in OBJECTIVES}
    for objective, scores in proxies.items():
        standard = lambda s: (s - s.mean()) / s.std()
        for figure, value in (
            ("proxy", standard),
            ("gold", lambda s: gold),
            ("length", lambda s: vectors[:, -1]),
        ):
            curves = [best_of_n(s, value(s), SIZES) for s in scores]
            for n, height in zip(SIZES, np.mean(curves, axis=0)):
                yield name, objective, seed, figure, int(n), f"{height:.5g}"
    ideal = best_of_n(gold, gold, SIZES)
    yield from ((name, "gold", seed, "gold", int(n), f"{height:.5g}") for n, height in zip(SIZES, ideal))


def table():
    """What each objective ends with, and how often it ends above the single model."""
    found, top = read_results("overoptimisation.csv", RESULTS.parent), str(SIZES[-1])
    head = (
        "world",
        "objective",
        "gold at 1,000",
        "gold lost from its best",
        "above single",
        "length at 1,000",
    )
    yield from (f"| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1))
    for world in WORLDS:
        curve = lambda objective, figure, n, world=world: found.values(
            world=world, objective=objective, figure=figure, n=str(n)
        )
        for objective in ("single", "mean", "worst", "uncertainty"):
            gold = np.stack([curve(objective, "gold", n) for n in SIZES])
            above = gold[-1] > curve("single", "gold", top)
            held = "" if objective == "single" else f"{above.sum()} of {len(above)}"
            lost, length = (gold.max(axis=0) - gold[-1]).mean(), curve(objective, "length", top).mean()
            yield f"| {world} | {objective} | {gold[-1].mean():.2f} | {lost:.2f} | {held} | {length:+.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default="0-9", help="first-last, both counted")
    parser.add_argument("--readme", action="store_true", help="write the table, compute nothing")
    parser.add_argument("--show", action="store_true", help="print the gold curves and store nothing")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after so long")
    asked, begun = parser.parse_args(), time.monotonic()
    if asked.readme:
        return write_table("best of n", table())
    first, last = map(int, asked.seeds.split("-"))
    if not RESULTS.exists() and not asked.show:
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    done = (
        set() if asked.show else {(r["world"], r["seed"]) for r in csv.DictReader(RESULTS.open(newline=""))}
    )
    for seed in range(first, last + 1):
        for name in WORLDS:
            if (name, str(seed)) in done:
                continue
            if time.monotonic() - begun > 60 * asked.minutes:
                return
            rows = list(measure(name, seed))
            if asked.show:
                for objective in ("single", "mean", "worst", "uncertainty", "gold"):
                    curve = [float(r[5]) for r in rows if r[1] == objective and r[3] == "gold"]
                    length = [float(r[5]) for r in rows if r[1] == objective and r[3] == "length"][-1:]
                    print(
                        name, seed, f"{objective:12}", np.round(curve[::3], 2), "length", length, flush=True
                    )
                continue
            with RESULTS.open("a", newline="") as lines:
                csv.writer(lines, lineterminator="\n").writerows(rows)
            print(name, seed, flush=True)


if __name__ == "__main__":
    main()
