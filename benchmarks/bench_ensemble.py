"""What K members cost beside K runs: `python benchmarks/bench_ensemble.py [--members 1 5]`.

A reward model of K members is trained in one `vmap`. Rows of `benchmarks/results/ensemble.csv` (data, members, figure, value): processor
seconds (user and system) and wall seconds of a first training, compilation included, and of a second one with another key. K runs cost K
times the row of one member, its compilation once. Two sources of ballots: Tennessee's 2,000 raters by ids, and 500 noisy comparisons of
vectors (`benchmarks/overoptimisation.py`).
"""

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # a first training compiles

import jax
import overoptimisation

from socialrm.pairs import Pairs
from socialrm.pools import rater_ballots
from socialrm.populations import tennessee
from socialrm.social import SocialConfig, train_reward

RESULTS = Path(__file__).parent / "results" / "ensemble.csv"


def trainings(data, members):
    """A function of a key that trains."""
    if data == "vectors":
        ballots = overoptimisation.noisy(overoptimisation.World(0), 0.0)
        config = SocialConfig(
            optimisation=overoptimisation.OPTIMISATION, interpretation="embeddings", members=members
        )
    else:
        ballots, config = tennessee(key=jax.random.key(0)).ballots, SocialConfig(members=members)
    pairs = Pairs.of(ballots)
    return lambda key: train_reward(rater_ballots(ballots, pairs), pairs, config, key=key)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--members", nargs="*", type=int, default=[1, 5])
    asked, rows = parser.parse_args(), []
    for data in ("tennessee", "vectors"):
        for members in asked.members:
            train = trainings(data, members)
            for seed, when in enumerate(("first", "again")):
                processor, wall = time.process_time(), time.perf_counter()
                jax.block_until_ready(train(jax.random.key(seed)).members())
                found = {"processor": time.process_time() - processor, "wall": time.perf_counter() - wall}
                rows += [(data, members, f"{name} seconds, {when}", f"{s:.3g}") for name, s in found.items()]
            rows.append((data, members, "load of the machine", f"{os.getloadavg()[0]:.3g}"))
            print(*(f"{row[2]} {row[3]}" for row in rows[-5:]), data, members, sep="  ", flush=True)
    with RESULTS.open("w", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([("data", "members", "figure", "value"), *rows])


if __name__ == "__main__":
    main()
