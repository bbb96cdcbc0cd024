"""Throughput and memory against size: shards written, read, trained on, and voters tallied; each size in a process of its own.

    python benchmarks/bench_scale.py 1000 10000 100000 1000000 [--contests 1000]
    python benchmarks/bench_scale.py --run 10000 100000 1000000
    python benchmarks/bench_scale.py --streamed 10000 100000

A synthetic population: four types of raters, twenty ballots of three each, over 1,000 prompts of 8 candidates. As many voters as raters. Rows are
added to results/scale.csv; processor seconds are user and system, of all threads. With --run the sizes are voters of a whole `socialrm` run on Tennessee with a simulated electorate
and 100 training steps, counted or (where there are more than 100,000) held, with a rule of margins; rows are added to results/scale_run.csv.
With --streamed the sizes are raters of a whole `socialrm run` over shards, 50 prompts of them, 200 training steps, every rater's ballots completed and counted; rows are added to results/scale_streamed.csv.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "scale.csv"
PROMPTS, CANDIDATES, BALLOTS, PLACES, SHARD = 1_000, 8, 20, 3, 10_000


def generate(folder, raters, prompts=PROMPTS):
    "Write shards of raters of four types; half of the prompts turn their orders round."
    import numpy as np

    from socialrm.shards import write_shard

    taste = np.random.default_rng(0).standard_normal((4, CANDIDATES))
    for number, first in enumerate(range(0, raters, SHARD)):
        rng, n = np.random.default_rng([1, number]), min(SHARD, raters - first)
        kind = np.repeat(rng.integers(0, 4, n), BALLOTS)
        prompt = rng.integers(0, prompts, len(kind))
        shown = np.argsort(rng.random((len(kind), CANDIDATES)), axis=1)[:, :PLACES]
        utility = np.where(prompt % 2, -1, 1)[:, None] * taste[kind[:, None], shown]
        order = np.argsort(-utility - 0.3 * rng.gumbel(size=utility.shape), axis=1)
        pair = prompt[:, None] * CANDIDATES + np.take_along_axis(shown, order, 1)
        rank = np.broadcast_to(np.arange(PLACES), pair.shape)
        write_shard(folder / f"{number:04}.parquet", pair, rank, np.full(n, BALLOTS))


class Clock:
    "Wall and processor seconds between marks, and the largest memory so far."

    def __init__(self):
        self.rows, self.last = [], self.now()

    def now(self):
        return time.perf_counter(), time.process_time()

    def mark(self, stage, items):
        wall, cpu = (b - a for a, b in zip(self.last, self.now()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        self.rows.append(
            {
                "stage": stage,
                "items": items,
                "seconds": round(wall, 2),
                "cpu_seconds": round(cpu, 2),
                "peak_gb": round(peak, 3),
            }
        )
        print(json.dumps(self.rows[-1]), file=sys.stderr, flush=True)
        self.last = self.now()


def measure(raters, contests, voters):
    "One size, in this process."
    import jax
    import numpy as np

    from socialrm.architecture import Architecture
    from socialrm.ballots import Contests, Vocabulary
    from socialrm.density import MixtureDensity
    from socialrm.individual import Individual, IndividualConfig, new_individual, objective
    from socialrm.pairs import Pairs, interpretation_inputs
    from socialrm.shards import Shards, every_rater, windows
    from socialrm.tallies import order_tallies, stream_voters, tally
    from socialrm.training import Optimisation, fit

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), raters)
        clock.mark("write", raters * BALLOTS)
        shards = Shards.open(folder, BALLOTS, PLACES)
        seen = sum(int((pair[:, :, 0] >= 0).sum()) for pair, _ in every_rater(shards))
        clock.mark("read", seen)
        names = (tuple(f"{kind}{i}" for i in range(n)) for kind, n in (("p", PROMPTS), ("c", CANDIDATES)))
        vocabulary = Vocabulary((), *names)
        pairs = Pairs(
            np.repeat(np.arange(PROMPTS), CANDIDATES), np.tile(np.arange(CANDIDATES), PROMPTS), vocabulary
        )
        how = Optimisation(steps=200, batch=128, chunk=100)
        config = IndividualConfig(architecture=Architecture(context=BALLOTS, places=PLACES), optimisation=how)
        model = new_individual(pairs, config, key=jax.random.key(0))
        data = windows(shards, interpretation_inputs(pairs, config), chunk=how.chunk, seed=0)
        history = fit(model, objective, data, config, replace(how, steps=100), key=jax.random.key(1))
        clock.mark("first 100 steps, compile included", 100 * how.batch)
        history = fit(model, objective, data, config, replace(how, steps=200), key=jax.random.key(1))
        clock.mark("200 steps, compile included", 200 * how.batch)
    individual = Individual(model, config, pairs, np.zeros(0, int), history)
    density = MixtureDensity(
        np.ones(1), np.zeros((1, config.architecture.latent)), np.eye(config.architecture.latent)[None]
    )
    ask = Contests(np.arange(contests), np.tile(np.arange(CANDIDATES), (contests, 1)), vocabulary)
    tallies = tally(individual, stream_voters(density, voters, seed=0), ask, key=jax.random.key(2))
    clock.mark("vote", voters * contests)
    every = [order_tallies(tallies, rule) for rule in ("borda", "copeland", "plurality")]
    assert (tallies.places.sum(axis=2) == voters).all() and len(every) == 3
    clock.mark("rules", 3 * contests)
    return clock.rows


WHOLE = """
import json, resource, sys, time
from dataclasses import replace
import jax
from socialrm import counting
from socialrm.pipeline import RunConfig, run
from socialrm.populations import tennessee
voters, counting.HELD = int(sys.argv[1]), 100_000 if sys.argv[2] == "counted" else 10**12
config = RunConfig(electorate="simulated", voters=voters, rule="copeland", compare=("borda",))
how = replace(config.individual.optimisation, steps=100)
found = run(tennessee(key=jax.random.key(0)).ballots, replace(config, individual=replace(config.individual, optimisation=how)))
said = {"seconds of voting": found.timing["voting"], "cpu_seconds": round(time.process_time(), 1)}
said |= {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3), "order": str(found.order.ranks.tolist())}
print(json.dumps(said))
"""


STREAMED = """
import json, resource, sys, tempfile, time
from dataclasses import replace
from pathlib import Path
import numpy as np
import bench_scale
from socialrm.ballots import Vocabulary
from socialrm.pairs import Pairs
from socialrm.pipeline import RunConfig, run
from socialrm.stored import save_pairs
from socialrm.streams import Stream
raters, prompts, size = int(sys.argv[1]), 50, bench_scale.CANDIDATES
with tempfile.TemporaryDirectory() as folder:
    bench_scale.generate(Path(folder), raters, prompts)
    names = (tuple(f"{kind}{i}" for i in range(n)) for kind, n in (("p", prompts), ("c", size)))
    save_pairs(Pairs(np.repeat(np.arange(prompts), size), np.tile(np.arange(size), prompts), Vocabulary((), *names)), Path(folder, "pairs.json"))
    begun = time.process_time()
    config = RunConfig(rule="copeland", compare=("borda",))
    how = replace(config.individual.optimisation, steps=200)
    stream = Stream.open(folder)
    opened = time.process_time() - begun
    found = run(stream, replace(config, individual=replace(config.individual, optimisation=how)))
said = {f"seconds of {stage}": found.timing[stage] for stage in ("learning", "voting", "trial")}
said |= {"cpu_seconds of opening": round(opened, 1), "cpu_seconds": round(time.process_time() - begun, 1)}
said |= {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}
print(json.dumps(said))
"""


def keep(path, row):
    "Print a run's row and add it to a file, with the machine's load."
    row, new = row | {"load": round(os.getloadavg()[0], 1)}, not path.exists()
    print(row, flush=True)
    with path.open("a", newline="") as file:
        table = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            table.writeheader()
        table.writerow(row)


def streamed_runs(sizes):
    "A run over shards of each size."
    for raters in sizes:
        path, command = RESULTS.with_name("scale_streamed.csv"), [sys.executable, "-c", STREAMED, str(raters)]
        found = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": _with_benchmarks()},
        )
        row = {"raters": raters, "ballots": raters * BALLOTS} | json.loads(found.stdout)
        keep(path, row)


def _with_benchmarks():
    "Where this file and the package are looked for."
    return os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def whole_runs(sizes):
    "A run of each size; beyond what is held, counted and held."
    for voters in sizes:
        for how in ("counted", "held") if voters > 100_000 else ("held",):
            command = [sys.executable, "-c", WHOLE, str(voters), how]
            said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            keep(RESULTS.with_name("scale_run.csv"), {"voters": voters, "how": how} | said)


def main():
    "Each size in a process of its own; rows as they come."
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("raters", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parse.add_argument("--contests", type=int, default=1_000)
    parse.add_argument("--voters", type=int, help="default: as many as raters")
    parse.add_argument("--one", action="store_true", help="this size, in this process, to stdout")
    parse.add_argument("--run", action="store_true", help="sizes are voters of whole runs")
    parse.add_argument("--streamed", action="store_true", help="sizes are raters of whole runs over shards")
    given = parse.parse_args()
    if given.streamed:
        return streamed_runs(given.raters)
    if given.run:
        return whole_runs(given.raters)
    if given.one:
        print(json.dumps(measure(given.raters[0], given.contests, given.voters or given.raters[0])))
        return
    for raters in given.raters:
        voters = given.voters or raters
        command = [
            sys.executable,
            __file__,
            str(raters),
            "--one",
            "--contests",
            str(given.contests),
            "--voters",
            str(voters),
        ]
        rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        new = not RESULTS.exists()
        with RESULTS.open("a", newline="") as file:
            table = csv.DictWriter(
                file, ["raters", "voters", "contests", *rows[0], "load"], lineterminator="\n"
            )
            if new:
                table.writeheader()
            size = {
                "raters": raters,
                "voters": voters,
                "contests": given.contests,
                "load": round(os.getloadavg()[0], 1),
            }
            table.writerows(size | row for row in rows)


if __name__ == "__main__":
    main()
