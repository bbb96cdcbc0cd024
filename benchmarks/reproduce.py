"""The pipeline's claims, seed by seed: `python benchmarks/reproduce.py [CHECK ...] [--seeds 0-9]`.

Every figure is a row of `benchmarks/results/pipeline.csv` (check, seed, figure, value); rows already there are not
measured again unless `--again` is given, so a stopped run goes on where it was. `--summary` prints the table of `benchmarks/README.md`.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from scipy.stats import kendalltau

from socialrm import datasets, populations
from socialrm.aggregation import aggregate
from socialrm.diagnostics import hide, order_shares, total_variation
from socialrm.electorates import profile
from socialrm.individual import IndividualConfig
from socialrm.learning import RunConfig, electorate, learn, vote
from socialrm.pools import order_ballots, rater_ballots, voter_ballots
from socialrm.social import train_reward

RESULTS = Path(__file__).parent / "results" / "pipeline.csv"
POPULATION_KEY = 40_000  # populations have keys of their own; lower ones were looked at while building


def population_key(seed):
    return jax.random.key(POPULATION_KEY + seed)


def profiles_of(learned, voters, ballots, seed):
    """Each contest's profile, padding cut off."""
    contests = ballots.contests()
    for contest in range(len(contests)):
        key = jax.random.fold_in(jax.random.key(seed), contest)
        candidates = contests.completion[contest]
        ranks = profile(
            learned.individuals, voters, ballots, int(contests.prompt[contest]), candidates, key=key
        )
        yield int(contests.prompt[contest]), ranks[:, candidates >= 0]


def margins(ranks):
    ahead = np.sign(ranks[:, None, :] - ranks[:, :, None])
    return ahead.mean(axis=0)[np.triu_indices(ranks.shape[1], 1)]


def best_first(reward, pairs, prompt):
    return np.argsort(-reward.score()[pairs.prompt == prompt]).tolist()


def voters_tv(name, learned, population, seed):
    for prompt, ranks in profiles_of(learned, learned.voters, population.ballots, seed):
        truth = {
            tuple(int(r) for r in order): share
            for order, share in zip(list(population.orders.values())[prompt], population.shares)
        }
        yield f"{name} {prompt}", total_variation(order_shares(ranks), truth)


def tennessee(seed):
    """Simulated voters, four rules, vanilla and random ballot, on the post's population."""
    population = populations.tennessee(key=population_key(seed))
    ballots, config = population.ballots, RunConfig(seed=seed)
    start = time.perf_counter()
    learned = learn(ballots, config)
    yield "seconds, individual model and voters", time.perf_counter() - start
    yield from voters_tv("total variation, prompt", learned, population, seed)
    contests, pairs, rules = (
        ballots.contests(),
        learned.individual.pairs,
        ("borda", "copeland", "minimax", "kemeny"),
    )
    keep = np.arange(config.voters)
    orders, kept, _ = vote(
        learned.individuals, learned.voters, ballots, contests, rules, key=jax.random.key(seed), keep=keep
    )
    for rule in rules:
        social = train_reward(
            order_ballots(contests, orders[rule].ranks, pairs), pairs, key=jax.random.key(seed)
        )
        for prompt in (0, 1):
            truth = np.argsort(aggregate(ballots.profile(prompt), rule).ranks).tolist()
            yield f"social order = {rule}, prompt {prompt}", best_first(social, pairs, prompt) == truth
    vanilla = train_reward(rater_ballots(ballots, pairs), pairs, key=jax.random.key(seed))
    source = voter_ballots(contests, kept, learned.voters.weight, pairs)
    drawn = train_reward(source, pairs, key=jax.random.key(seed + 1_000))
    for prompt in (0, 1):
        borda = np.argsort(aggregate(ballots.profile(prompt), "borda").ranks).tolist()
        yield f"vanilla = borda, prompt {prompt}", best_first(vanilla, pairs, prompt) == borda
        same = best_first(drawn, pairs, prompt) == best_first(vanilla, pairs, prompt)
        yield f"random ballot = vanilla, prompt {prompt}", same


def tokens(seed):
    """Tennessee from raw strings."""
    population = populations.tennessee(key=population_key(seed))
    config = RunConfig(seed=seed, individual=IndividualConfig(interpretation="tokens"))
    yield from voters_tv("total variation, prompt", learn(population.ballots, config), population, seed)


def missing(seed):
    """A prompt that a type never rated."""
    for unseen in ("Nashville", "Memphis"):
        population = populations.inverted_missing(key=population_key(seed), unseen=unseen)
        learned = learn(population.ballots, RunConfig(seed=seed))
        yield from voters_tv(f"total variation, unseen by {unseen}, prompt", learned, population, seed)


def mallows(seed):
    """Noisy types: margins of both electorates against the population's."""
    population = populations.mallows_mixture(key=population_key(seed))
    learned = learn(population.ballots, RunConfig(seed=seed))
    for name in ("simulated", "completed"):
        voters = electorate(learned, population.ballots, RunConfig(seed=seed, electorate=name))
        errors = [
            np.abs(margins(ranks) - margins(population.complete.profile(prompt))).mean()
            for prompt, ranks in profiles_of(learned, voters, population.ballots, seed)
        ]
        yield f"margins, {name}", np.mean(errors)
    yield "temperature", learned.voters.temperature
    yield "components", len(learned.density.share)


def morristown(seed):
    """The post's example of missing data, under Borda."""
    for name, shares in ("30/25/15/30", (0.30, 0.25, 0.15, 0.30)), ("equal", (0.25,) * 4):
        population = populations.morristown(key=population_key(seed), shares=shares)
        ballots = population.ballots
        learned = learn(ballots, RunConfig(seed=seed))
        contests, pairs = ballots.contests(), learned.individual.pairs
        truth = np.argsort(aggregate(population.complete.profile(0), "borda").ranks).tolist()
        for kind in ("simulated", "completed"):
            voters = electorate(learned, ballots, RunConfig(seed=seed, electorate=kind))
            orders, _, _ = vote(
                learned.individuals, voters, ballots, contests, ("borda",), key=jax.random.key(seed)
            )
            source = order_ballots(contests, orders["borda"].ranks, pairs)
            social = train_reward(source, pairs, key=jax.random.key(seed))
            yield f"{name}: social = complete Borda, {kind}", best_first(social, pairs, 0) == truth
        vanilla = train_reward(rater_ballots(ballots, pairs), pairs, key=jax.random.key(seed))
        yield f"{name}: vanilla differs", best_first(vanilla, pairs, 0) != truth
        yield f"{name}: vanilla puts Morristown last", best_first(vanilla, pairs, 0)[-1] == 4


def breakfast(seed):
    """Real and complete: Borda of completed ballots against Borda of the ballots, whole and with 30% of places hidden."""
    complete = datasets.load("breakfast")
    shown = hide(complete, 0.3, rng=np.random.default_rng(seed))
    quick = IndividualConfig(optimisation=replace(IndividualConfig().optimisation, steps=100))
    for name, ballots, how in (
        ("complete", complete, quick),  # nothing is left to complete: the model has no say
        ("30% hidden", complete.keep(shown), IndividualConfig()),
    ):
        learned = learn(ballots, RunConfig(seed=seed, individual=how))
        voters = electorate(learned, ballots, RunConfig(seed=seed, electorate="completed"))
        taus = []
        for prompt, ranks in profiles_of(learned, voters, ballots, seed):
            truth = aggregate(complete.profile(prompt), "borda").scores
            taus.append(kendalltau(aggregate(ranks, "borda").scores, truth).statistic)
        yield f"{name}: mean tau of Borda", np.mean(taus)


def command(*arguments):
    """Run the command line in a process of its own; seconds and peak memory in bytes."""
    code = (
        "import resource, sys; from socialrm.cli import main; sys.argv = ['socialrm', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, int(done.stderr.split()[-1])


def same_bits(seed):
    """Two processes, one seed: the same files."""
    names = (
        "social_orders.csv",
        "social_pairs.jsonl",
        "voters.npz",
        "individual.safetensors",
        "social.safetensors",
    )
    with tempfile.TemporaryDirectory() as folder:
        for run in ("one", "two"):
            seconds, memory = command("run", "--seed", str(seed), "--out", f"{folder}/{run}")
            yield f"seconds, socialrm run on Tennessee, {run}", seconds
            yield f"GB, socialrm run on Tennessee, {run}", memory / 1e9
        for name in names:
            one, two = (Path(folder, run, name).read_bytes() for run in ("one", "two"))
            yield f"same bytes: {name}", one == two


def ukpconvarg(seed):
    """All 84,445 votes, ties included, with ids, to a report."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory = command("run", "ukpconvarg1", "--seed", str(seed), "--out", f"{folder}/run")
        yield "seconds", seconds
        yield "GB", memory / 1e9
        yield "report written", Path(folder, "run", "report.html").exists()


CHECKS = {
    check.__name__: (check, seeds)
    for check, seeds in (
        (tennessee, 10),
        (morristown, 10),
        (mallows, 10),
        (breakfast, 10),
        (tokens, 5),
        (same_bits, 2),
        (ukpconvarg, 1),
        (missing, 10),
    )
}


def measured():
    if not RESULTS.exists():
        return []
    with RESULTS.open(newline="") as lines:
        return list(csv.DictReader(lines))


def summary():
    figures = {}
    for row in measured():
        figures.setdefault((row["check"], row["figure"]), []).append(float(row["value"]))
    print("| check | figure | seeds | median | lowest | highest |\n|---|---|---|---|---|---|")
    for (check, figure), values in figures.items():
        low, middle, high = min(values), np.median(values), max(values)
        print(f"| {check} | {figure} | {len(values)} | {middle:.4g} | {low:.4g} | {high:.4g} |")


def keep(name, seed, rows):
    """The rows of one check and seed, in place of older ones."""
    kept = [tuple(row.values()) for row in measured() if (row["check"], row["seed"]) != (name, str(seed))]
    with RESULTS.open("w", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([("check", "seed", "figure", "value"), *kept, *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checks", nargs="*", choices=[[], *CHECKS], default=[])
    parser.add_argument("--seeds", help="first-last, both counted; default: each check's own")
    parser.add_argument("--summary", action="store_true", help="print what is stored, measure nothing")
    parser.add_argument("--again", action="store_true", help="measure stored seeds anew, in their place")
    asked = parser.parse_args()
    if asked.summary:
        return summary()
    done = {(row["check"], row["seed"]) for row in measured()}
    RESULTS.parent.mkdir(exist_ok=True)
    for name in asked.checks or CHECKS:
        check, seeds = CHECKS[name]
        first, last = map(int, asked.seeds.split("-")) if asked.seeds else (0, seeds - 1)
        for seed in range(first, last + 1):
            if (name, str(seed)) in done and not asked.again:
                continue
            rows = [(name, seed, figure, float(value)) for figure, value in check(seed)]
            keep(name, seed, rows)
            print(name, seed, *(f"{figure} {value:.4g};" for _, _, figure, value in rows), flush=True)


if __name__ == "__main__":
    main()
