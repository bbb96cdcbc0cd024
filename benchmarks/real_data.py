"""Complete data masked, and recovered by every method; appends to benchmarks/results/real_data.csv, skipping rows already there.

    python benchmarks/real_data.py [--data agh-2003 ...] [--masks 20] [--kinds type random prompts self] [--minutes 60] [--baselines]

Rows: data, mask, method, seed, score, value, and for ours the configuration learned under (configuration.py; `--stale` measures older ones anew). Masks: `type` (one cluster of raters hardly ranks 30% of the items), `random` (30% of the
places), `prompts` (one cluster ranked nothing on a third of the prompts; scored on those), `self` (the less a rater likes an item,
the less likely the rater ranks it: nothing tells from what is left). Scores: Kendall's tau-b and root-mean-square error of Borda
scores, tau-b of Copeland scores, root-mean-square error of shares of first places, each against the complete data. The seed draws
the mask and everything that a method draws. Seeds count from 0, one seed for every data set in turn; tuning (benchmarks/tune.py) used seeds from 100 and other data.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from configuration import configuration, exchange

from socialrm.ballots import Ballots
from socialrm.datasets import load
from socialrm.distributional import DISTRIBUTIONAL
from socialrm.electorates import profile
from socialrm.estimates import Estimate, from_profiles
from socialrm.imputation import BASELINES as CLASSICAL
from socialrm.individual import IndividualConfig
from socialrm.learning import RunConfig, electorate, learn
from socialrm.missing import (
    compare,
    hide_at_random,
    hide_by_liking,
    hide_by_type,
    hide_prompts_by_type,
    truth,
)
from socialrm.pipeline import speakers
from socialrm.pools import rater_ballots
from socialrm.populations import mallows_mixture
from socialrm.social import train_reward
from socialrm.variational import VARIATIONAL, variational_estimates

RESULTS = Path(__file__).parent / "results" / "real_data.csv"
COLUMNS = ("data", "mask", "method", "seed", "score", "value", "configuration")
DATA = (
    *("agh-2003", "agh-2004", "breakfast"),
    *("dots-3", "dots-5", "dots-7", "dots-9", "puzzle-5", "puzzle-7", "puzzle-9", "puzzle-11"),
    *("twin", "jester-complete"),
)
OURS = ("completed", "simulated sampled", "simulated modal")


def complete(name: str) -> Ballots:
    """A complete data set; `twin` is a Mallows mixture of 5,000 raters and 10 completions."""
    if name == "twin":
        return mallows_mixture(5_000, key=jax.random.key(0), prompts=1, completions=10).complete
    return load(name)


def ours(ballots: Ballots, seed: int, config: IndividualConfig) -> dict[str, Estimate]:
    """The electorates of what the pipeline learns, and what is worth knowing of it."""
    run = RunConfig(seed=seed, individual=config)
    learned, contests, found = learn(ballots, run), ballots.contests(), {}
    pairs, vanilla = learned.individual.pairs, None
    if learned.health.silent:
        vanilla = train_reward(rater_ballots(ballots, pairs), pairs, run.social, key=jax.random.key(seed))

    def estimate(number, models, voters):
        ranks = []
        for prompt, candidates in zip(contests.prompt, contests.completion):
            key = jax.random.fold_in(jax.random.key(seed), 1_000 * number + int(prompt))
            voted = profile(models, voters, ballots, int(prompt), candidates, key=key)
            ranks.append(voted[:, candidates >= 0])
        return from_profiles(contests, ranks, voters.weight)

    named = ("completed", "sampled"), ("simulated", "sampled"), ("simulated", "modal")
    for number, (name, (who, orders)) in enumerate(zip(OURS, named)):
        voters = replace(electorate(learned, ballots, replace(run, electorate=who)), orders=orders)
        found[name] = estimate(number, *speakers(learned, voters, vanilla))
    kl, silent = learned.individual.history[-1]["kl"], " silent: vanilla's rewards" * learned.health.silent
    members = len(learned.individuals)
    print(
        f"    temperature {learned.voters.temperature:.2f}, {members} members, KL {kl:.1f} nats{silent}",
        flush=True,
    )
    return found


def _distinct(shared: Callable) -> dict[str, Callable]:
    """Estimates of one training under their names, trained once a data set and seed."""
    last = {}

    def named(name):
        def method(ballots, contests, *, rng):
            if last.get("ballots") is not ballots:
                last.update(ballots=ballots, found=shared(ballots, contests, rng=rng))
            return last["found"][name]

        return method

    return {name: named(name) for name in VARIATIONAL}


BASELINES = CLASSICAL | DISTRIBUTIONAL | _distinct(variational_estimates)
BASELINES |= {"mixture": partial(CLASSICAL["mixture"], voters=RunConfig().voters)}  # as many ballots as ours


def masked(whole: Ballots, kind: str, seed: int) -> tuple[Ballots, np.ndarray | None]:
    """The same data with places hidden, and the contests that are scored (None: all)."""
    rng = np.random.default_rng(seed)
    if kind == "prompts":
        mask = hide_prompts_by_type(whole, rng=rng)
        return whole.keep(mask.stays), np.flatnonzero(mask.chosen.any(axis=1)[whole.contests().prompt])
    stays = {
        "random": lambda: hide_at_random(whole, rng=rng),
        "type": lambda: hide_by_type(whole, rng=rng).stays,
        "self": lambda: hide_by_liking(whole, rng=rng),
    }[kind]()
    return whole.keep(stays), None


def some_contests(estimate: Estimate, chosen: np.ndarray | None) -> Estimate:
    """What is believed of these contests alone."""
    if chosen is None:
        return estimate
    return replace(estimate, support=estimate.support[chosen], first=estimate.first[chosen])


def done(stale: bool) -> set[tuple[str, ...]]:
    """(data, mask, method, seed) already in the file; with `stale`, only of today's configuration."""
    if not RESULTS.exists():
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    fine = {"", configuration()}
    with RESULTS.open() as file:
        rows = [r for r in csv.DictReader(file) if not stale or r["configuration"] in fine]
    return {(r["data"], r["mask"], r["method"], r["seed"]) for r in rows}


def main(arguments: argparse.Namespace) -> None:
    """Seed by seed, so that a run that is stopped has covered every data set alike."""
    known, wholes, until = done(arguments.stale), {}, time.monotonic() + 60 * arguments.minutes
    config = IndividualConfig()
    methods = arguments.methods or (() if arguments.baselines else OURS) + tuple(BASELINES)
    for seed in range(arguments.masks):
        for kind in arguments.kinds:
            for name in arguments.data:
                left = [m for m in methods if (name, kind, m, str(seed)) not in known]
                if not left:
                    continue
                if time.monotonic() > until:
                    return
                whole = wholes.setdefault(name, complete(name))
                (ballots, chosen), start = masked(whole, kind, seed), time.monotonic()
                contests, found = ballots.contests(), {}
                goal = some_contests(truth(whole, whole.contests()), chosen)
                if contests.completion.shape != whole.contests().completion.shape:
                    print(name, kind, seed, "left out: the mask hides a completion altogether")
                    continue
                for method in left:
                    if method in BASELINES:
                        found[method] = BASELINES[method](ballots, contests, rng=np.random.default_rng(seed))
                if set(left) & set(OURS):
                    found |= ours(ballots, seed, config)
                rows = [
                    (name, kind, m, seed, score, f"{value:.5f}", configuration() if m in OURS else "")
                    for m in left
                    for score, value in compare(some_contests(found[m], chosen), goal).items()
                    if np.isfinite(value)
                ]
                these = {(name, kind, m, str(seed)) for m in left}
                gone = lambda r, these=these: (r["data"], r["mask"], r["method"], r["seed"]) in these
                exchange(RESULTS, COLUMNS, gone, rows)
                print(f"{name} {kind} {seed}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=DATA, choices=DATA)
    parser.add_argument("--masks", type=int, default=20)
    parser.add_argument(
        "--kinds", nargs="+", default=("type",), choices=("type", "random", "prompts", "self")
    )
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--baselines", action="store_true", help="baselines only")
    parser.add_argument("--stale", action="store_true", help="ours anew, where learned under older defaults")
    parser.add_argument("--methods", nargs="+", choices=(*OURS, *BASELINES), help="these alone; default: all")
    main(parser.parse_args())
