"""Best-of-n against ensembles of reward models: `python benchmarks/overoptimisation.py [--seeds 0-9]`.

A made gold reward ranks made completions, a quarter of the comparisons is turned round, and five members learn from them. From 20,000 fresh
completions the best of n by each objective is taken, n up to 1,000: its proxy reward and its gold reward, both in standard deviations of the
completions, are rows of `benchmarks/results/overoptimisation.csv` (world, objective, seed, figure, n, value). Two worlds: `own errors`, where
nothing but noise and few comparisons misleads, and `shared error`, where the length of a completion goes with its gold reward in the
comparisons and not in what is drawn. The worlds' constants were chosen on seeds 100 and above. A stopped run goes on where it was.
"""

import argparse
import csv
from pathlib import Path

import jax
import numpy as np

from socialrm.ballots import Vectors, Vocabulary, from_rows
from socialrm.best_of_n import best_of_n
from socialrm.pairs import Pairs
from socialrm.pools import rater_ballots
from socialrm.social import SocialConfig, train_reward

RESULTS = Path(__file__).parent / "results" / "overoptimisation.csv"
COLUMNS = ("world", "objective", "seed", "figure", "n", "value")
SIZES = np.unique(np.round(np.geomspace(1, 1_000, 16)).astype(int))
FEATURES, MEMBERS, COMPARISONS, NOISE, DRAWN = 8, 5, 500, 0.25, 20_000
TAILS = 4.0  # degrees of freedom of a feature: completions far out are rare, and nothing was learned there
WORLDS = {"own errors": 0.0, "shared error": 0.7}  # correlation of length and gold in the comparisons


class World:
    """Completions and their gold reward: linear in the bulk, falling far out."""

    def __init__(self, seed):
        self.rng = np.random.default_rng([seed, 1])
        self.weights = self.rng.standard_normal(FEATURES)
        self.weights /= np.linalg.norm(self.weights)
        content, gold = self.draw(200_000)
        self.centre, self.spread = gold.mean(), gold.std()

    def draw(self, n):
        content = self.rng.standard_t(TAILS, (n, FEATURES)) / np.sqrt(TAILS / (TAILS - 2))
        gold = content @ self.weights - 0.07 * (content**2).sum(axis=1)
        return content, gold

    def completions(self, n, correlation):
        """Vectors with their length as the last number, and gold in standard deviations."""
        content, gold = self.draw(n)
        gold = (gold - self.centre) / self.spread
        noise = self.rng.standard_normal(n)
        length = correlation * np.clip(gold, -3, 3) + np.sqrt(1 - correlation**2) * noise
        return np.column_stack([content, length]).astype(np.float32), gold


def vocabulary(vectors):
    names = tuple(f"completion {i}" for i in range(len(vectors)))
    return Vocabulary(
        ("rater",), ("prompt",), names, vectors=Vectors(np.zeros((1, vectors.shape[1]), np.float32), vectors)
    )


def learn(world, correlation, key):
    """Members trained on noisy comparisons."""
    vectors, gold = world.completions(2 * COMPARISONS, correlation)
    pair = np.arange(2 * COMPARISONS).reshape(-1, 2)
    best = gold[pair].argmax(axis=1) ^ (world.rng.random(COMPARISONS) < NOISE)
    rank = np.stack([best, 1 - best], axis=1)
    flat = np.zeros(2 * COMPARISONS, int)
    ballots = from_rows(
        flat, flat, pair.ravel(), rank.ravel(), vocabulary=vocabulary(vectors), ballot=np.repeat(np.arange(COMPARISONS), 2)
    )  # fmt: skip
    pairs = Pairs.of(ballots)
    config = SocialConfig(interpretation="embeddings", members=MEMBERS)
    return train_reward(rater_ballots(ballots, pairs), pairs, config, key=key)


def measure(name, seed):
    """One world at one seed, as rows."""
    world, correlation = World(seed), WORLDS[name]
    reward = learn(world, correlation, jax.random.key(seed))
    vectors, gold = world.completions(DRAWN, 0.0)
    asked = Pairs(np.zeros(DRAWN, np.int32), np.arange(DRAWN, dtype=np.int32), vocabulary(vectors))
    each = reward.members(asked)
    proxies = {"single": each} | {o: reward.score(asked, o)[None] for o in ("mean", "worst", "uncertainty")}
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default="0-9", help="first-last, both counted")
    parser.add_argument("--show", action="store_true", help="print the gold curves and store nothing")
    asked = parser.parse_args()
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
            rows = list(measure(name, seed))
            if asked.show:
                for objective in ("single", "mean", "worst", "uncertainty", "gold"):
                    curve = [float(r[5]) for r in rows if r[1] == objective and r[3] == "gold"]
                    print(name, seed, f"{objective:12}", np.round(curve[::3], 2), flush=True)
                continue
            with RESULTS.open("a", newline="") as lines:
                csv.writer(lines, lineterminator="\n").writerows(rows)
            print(name, seed, flush=True)


if __name__ == "__main__":
    main()
