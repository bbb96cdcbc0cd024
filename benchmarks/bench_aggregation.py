"""Speed of aggregation, side by side with pref_voting in one run; writes benchmarks/results/aggregation.csv.

    python benchmarks/bench_aggregation.py [contests, default 10000]

Both sides get the same arrays of ranks (impartial culture, seed 0). Ours is timed on all contests, pref_voting on as many as
fit in six seconds a rule (a minute for all), scaled, and on its fast path: unique rankings and counts; building its profile counts, as does
laying out ours. Times are processor seconds of the process (the machine may be shared); medians of three runs for ours, of contests for
pref_voting.
"""

import csv
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np

from socialrm.aggregation import aggregate, margins
from socialrm.profiles import profile
from socialrm.scoring import borda
from socialrm.tournaments import kemeny, kemeny_order

BUDGET = 6.0  # seconds of pref_voting per rule


def impartial_culture(contests, voters, candidates, seed=0):
    rng = np.random.default_rng(seed)
    ranks = np.broadcast_to(np.arange(candidates), (contests, voters, candidates))
    return rng.permuted(ranks, axis=-1)


def median_seconds(function, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def pref_voting_seconds(method, ranks, budget=BUDGET):
    """Median seconds a contest, profile from unique rankings and counts included; and how many contests."""
    from pref_voting.profiles import Profile

    times, start = [], time.process_time()
    for contest in ranks:
        began = time.process_time()
        rankings, counts = np.unique(np.argsort(contest, axis=1), axis=0, return_counts=True)
        method(Profile(rankings, rcounts=counts.tolist()))
        times.append(time.process_time() - began)
        if time.process_time() - start > budget:
            break
    return float(np.median(times)), len(times)


def side_by_side(rows, contests):
    from pref_voting import (
        iterative_methods,
        margin_based_methods,
        other_methods,
        probabilistic_methods,
        scoring_methods,
    )
    from pref_voting.c1_methods import copeland

    theirs = {
        "borda": (scoring_methods.borda, 20),
        "copeland": (copeland, 20),
        "minimax": (margin_based_methods.minimax, 20),
        "schulze": (margin_based_methods.beat_path, 20),
        "split_cycle": (margin_based_methods.split_cycle, 20),
        "ranked_pairs": (margin_based_methods.ranked_pairs_zt, 20),
        "irv": (iterative_methods.instant_runoff, 20),
        "maximal_lottery": (probabilistic_methods.maximal_lottery, 20),
        "kemeny": (other_methods.kemeny_young, 100),
    }
    ranks = impartial_culture(contests, 1001, 8)
    method = theirs["borda"][0]
    pref_voting_seconds(method, ranks, budget=2.0)  # warm: numba compiles
    for rule, (method, least) in theirs.items():
        ours = median_seconds(lambda rule=rule: aggregate(ranks, rule)) / contests
        other, timed = pref_voting_seconds(method, ranks)
        rows.append(
            dict(
                workload=f"{rule}: {contests:,} contests x 1,001 voters x 8 candidates",
                unit="ms a contest",
                ours=round(ours * 1e3, 4),
                pref_voting=round(other * 1e3, 3),
                pref_voting_contests=timed,
                ratio=round(other / ours, 1),
                least=least,
            )
        )
        print(rows[-1], flush=True)


def alone(rows, workload, unit, value, least):
    row = dict(workload=workload, unit=unit, ours=value, pref_voting="", pref_voting_contests="", ratio="")
    rows.append(row | dict(least=least))
    print(rows[-1], flush=True)


def one_large_contest(rows):
    ranks = np.ascontiguousarray(impartial_culture(1, 1_000_000, 10)[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    read = median_seconds(lambda: ranks.sum(), 9)
    taken = median_seconds(lambda: margins(ranks), 5)
    points = median_seconds(lambda: borda(profile(ranks)), 5)
    both = median_seconds(lambda: (lambda p: (p.margins, borda(p)))(profile(ranks)), 5)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = "1,000,000 voters x 10 candidates"
    alone(rows, f"reading the ranks once (sum): {size}", "ms", round(read * 1e3, 2), "")
    alone(rows, f"margins: {size}", "ms", round(taken * 1e3, 1), "1000 ms")
    alone(rows, f"borda: {size}", "ms", round(points * 1e3, 1), "1000 ms")
    alone(rows, f"margins and borda: {size}", "ms", round(both * 1e3, 1), "1000 ms")
    alone(rows, f"margins and borda: {size}", "x reading", round(both / read, 1), "10")
    alone(rows, f"margins and borda, memory added: {size}", "MB", round(after - before, 1), "1000 in all")


def kemeny_sizes(rows):
    rng = np.random.default_rng(0)
    for m in (10, 12, 14, 16):
        M = margins(impartial_culture(1, 1001, m, seed=m)[0])
        seconds = median_seconds(lambda M=M: kemeny(M[None]))
        alone(
            rows, f"kemeny, table: 1 contest, {m} candidates", "ms", round(seconds * 1e3, 1), "5000 ms at 16"
        )
    for m in (20, 30, 40):
        utilities = np.linspace(0, 2, m) + rng.normal(size=(101, m)) * 2
        M = margins(np.argsort(np.argsort(-utilities, axis=1), axis=1))
        start = time.process_time()
        proven = kemeny_order(M).proven
        taken = round((time.process_time() - start) * 1e3, 1)
        alone(rows, f"kemeny, HiGHS: {m} candidates, 101 noisy voters", "ms", taken, f"proven: {proven}")


def linear_memory(rows):
    """Peak of allocations while margins of n voters are taken, in bytes per rank."""
    import tracemalloc

    for voters in (100_000, 400_000):
        ranks = np.ascontiguousarray(impartial_culture(1, voters, 20)[0], dtype=np.int8)
        tracemalloc.start()
        margins(ranks)
        peak = tracemalloc.get_traced_memory()[1] / ranks.size
        tracemalloc.stop()
        workload = f"margins, peak of allocations: {voters:,} voters x 20 candidates"
        alone(rows, workload, "bytes a rank", round(peak, 2), "constant")


def engines(rows):
    """The same counts by NumPy, pair by pair, and by JAX, jitted and mapped over contests."""
    import jax
    import jax.numpy as jnp

    ranks = impartial_culture(1000, 1001, 8)
    by_candidate = profile(ranks).ranks

    @jax.jit
    def counts(p):
        return jax.lax.map(lambda q: (q[:, None, :] < q[None, :, :]).sum(-1, dtype=jnp.int32), p)

    numpy_seconds = median_seconds(lambda: profile(ranks).margins)
    jax_seconds = median_seconds(lambda: counts(by_candidate).block_until_ready())
    size = "1,000 contests x 1,001 voters x 8 candidates"
    alone(rows, f"margins, NumPy (used), laying out counted: {size}", "ms", round(numpy_seconds * 1e3, 1), "")
    alone(rows, f"margins, JAX, laying out not counted: {size}", "ms", round(jax_seconds * 1e3, 1), "")


def main():
    contests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rows = []
    one_large_contest(rows)
    linear_memory(rows)
    engines(rows)
    kemeny_sizes(rows)
    side_by_side(rows, contests)
    path = Path(__file__).parent / "results" / "aggregation.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        file.write(
            f"# python benchmarks/bench_aggregation.py {contests}; {platform.machine()}, numpy {np.__version__}\n"
        )
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
