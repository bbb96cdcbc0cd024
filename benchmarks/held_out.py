"""Comparisons of known raters held out and predicted; appends to benchmarks/results/held_out.csv, skipping rows already there.

    python benchmarks/held_out.py [--data squality mtbench jester ukpconvarg] [--seeds 0 1 2] [--minutes 10]

A fifth of every rater's ballots is hidden (of Jester: a ballot of 5 jokes beside a visible one of 15, for 300 raters), and predicted for that very rater.
Methods: `majority`, what most others said of the pair, else even; `bradley_terry`, one reward a contest; `global`, one reward a completion
whatever the prompt (Jester: the same as Bradley-Terry); `mixture`, kinds of raters, each with a reward a contest, by EM, kinds by BIC; `individual`, ours: the individual reward
model given the rater's visible ballots, at the temperature fitted on held-out raters. Scores: accuracy (ties left out, an even prediction is half), cross entropy in nats,
Kendall's tau over held-out pairs (ties left out), and the share of whole ballots in the right order. Columns: data, method, seed, score, value, and for ours the
configuration that it was learned under (configuration.py; `--stale` measures older ones anew).
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from configuration import configuration, exchange
from pages import write_table
from scipy.special import logsumexp

from socialrm.ballots import Ballots
from socialrm.baselines import fit_bradley_terry
from socialrm.datasets import load
from socialrm.individual import rewards
from socialrm.learning import RunConfig, learn

RESULTS = Path(__file__).parent / "results" / "held_out.csv"
COLUMNS = ("data", "method", "seed", "score", "value", "configuration")
SCORES = ("accuracy", "cross_entropy", "kendall_tau", "whole_ballots")
METHODS = ("majority", "bradley_terry", "global", "mixture", "individual")
NAMES = {"ukpconvarg": "ukpconvarg1", "mtbench": "mtbench", "squality": "squality"}


def split(name: str, seed: int) -> tuple[Ballots, Ballots]:
    """Ballots to learn from, and ballots to predict, over one vocabulary."""
    rng = np.random.default_rng(seed)
    if name == "jester":
        whole = load("jester-complete")
        some = whole.subset(np.sort(rng.permutation(whole.n_raters)[:300]))
        some = some.keep(np.isin(some.completion, rng.permutation(100)[:20]))
        last = rng.random(some.mask.shape).argsort(axis=1).argsort(axis=1) < 5
        return some.keep(~last), some.keep(last)
    whole = load(NAMES[name])
    hidden = rng.random(whole.n_ballots) < 0.2
    return whole.keep(whole.mask & ~hidden[:, None]), whole.keep(whole.mask & hidden[:, None])


def pairs_of(ballots: Ballots) -> tuple[np.ndarray, ...]:
    """Rater id, prompt id, completion ids, whether it is a tie, and the ballot, of every pair, the better one first."""
    found = []
    for i in range(ballots.n_places):
        for j in range(i + 1, ballots.n_places):
            row = np.flatnonzero(ballots.mask[:, i] & ballots.mask[:, j])
            tie = ballots.rank[row, i] == ballots.rank[row, j]
            found.append((row, ballots.completion[row, i], ballots.completion[row, j], tie))
    row, one, other, tie = (np.concatenate(parts) for parts in zip(*found))
    v = ballots.vocabulary
    names = lambda known, index: np.array(known, dtype=object)[index]
    return (
        names(v.raters, ballots.rater[row]),
        names(v.prompts, ballots.prompt[row]),
        names(v.completions, one),
        names(v.completions, other),
        tie,
        row,
    )


def tables(said, prompts: bool):
    """For every contest: its items and the comparisons in it, as arrays."""
    rater, prompt, one, other, tie, _ = said
    contest = prompt if prompts else np.full(len(prompt), "all", dtype=object)
    found = {}
    for name in dict.fromkeys(contest):
        rows = np.flatnonzero(contest == name)
        items = {item: n for n, item in enumerate(dict.fromkeys([*one[rows], *other[rows]]))}
        at = [np.array([items[x] for x in which[rows]]) for which in (one, other)]
        found[name] = items, rows, *at
    return found


def wins_of(size, high, low, tie, weight):
    """Weight of comparisons won by the row, ties half."""
    wins = np.zeros((size, size))
    np.add.at(wins, (high, low), np.where(tie, 0.5, 1.0) * weight)
    np.add.at(wins, (low, high), np.where(tie, 0.5, 0.0) * weight)
    return wins


def one_reward(said, asked, prompts: bool):
    """Chance that the first of each asked pair is above the second, by Bradley-Terry."""
    tie, rewards_of = said[4], {}
    for name, (items, rows, high, low) in tables(said, prompts).items():
        wins = wins_of(len(items), high, low, tie[rows], np.ones(len(rows)))
        fitted = fit_bradley_terry(wins, pseudo=0.1, rounds=200)
        rewards_of |= {(name, item): fitted[n] for item, n in items.items()}
    contest = asked[1] if prompts else np.full(len(asked[1]), "all", dtype=object)
    gap = [rewards_of.get((c, a), 0.0) - rewards_of.get((c, b), 0.0) for c, a, b in zip(contest, *asked[2:4])]
    return 1 / (1 + np.exp(-np.array(gap)))


def majority(said, asked):
    """Share of those who compared the very pair, with one vote each way added."""
    votes = {}
    for prompt, a, b, tie in zip(*said[1:5]):
        for key, vote in (((prompt, a, b), 0.5 if tie else 1.0), ((prompt, b, a), 0.5 if tie else 0.0)):
            won, all_ = votes.get(key, (0.0, 0.0))
            votes[key] = won + vote, all_ + 1
    each = [votes.get(key, (0.0, 0.0)) for key in zip(*asked[1:4])]
    return np.array([(won + 1) / (all_ + 2) for won, all_ in each])


def mixture(said, asked, *, rng, most=4, rounds=25):
    """Kinds of raters by EM, each with Bradley-Terry rewards a contest; the number of kinds by BIC."""
    names = {name: n for n, name in enumerate(dict.fromkeys(said[0]))}
    rater, contests, tie = np.array([names[r] for r in said[0]]), tables(said, True), said[4]
    free = sum(len(items) - 1 for items, *_ in contests.values())
    best = None
    for kinds in range(1, most + 1):
        posterior = rng.dirichlet(np.full(kinds, 0.5), len(names))
        for _ in range(1 if kinds == 1 else rounds):
            share = np.maximum(posterior.mean(axis=0), 1e-9)
            each, fitted = np.zeros((len(names), kinds)), {}
            for name, (items, rows, high, low) in contests.items():
                gamma = []
                for k in range(kinds):
                    wins = wins_of(len(items), high, low, tie[rows], posterior[rater[rows], k])
                    gamma.append(fit_bradley_terry(wins, pseudo=0.1, rounds=50))
                    gap = gamma[k][high] - gamma[k][low]
                    agree = -np.logaddexp(0, -gap)
                    nats = np.where(tie[rows], 0.5 * (agree - np.logaddexp(0, gap)), agree)
                    each[:, k] += np.bincount(rater[rows], nats, len(names))
                fitted[name] = items, np.array(gamma)
            joint = np.log(share) + each
            total = logsumexp(joint, axis=1, keepdims=True)
            posterior = np.exp(joint - total)
        bic = -2 * total.sum() + (kinds - 1 + kinds * free) * np.log(len(names))
        if best is None or bic < best[0]:
            best = bic, posterior, fitted, share
    _, posterior, fitted, share = best
    chance = np.full(len(asked[0]), 0.5)
    for n, (who, prompt, a, b) in enumerate(zip(*asked[:4])):
        items, gamma = fitted.get(prompt, ({}, None))
        if a in items and b in items:
            weight = posterior[names[who]] if who in names else share
            chance[n] = weight @ (1 / (1 + np.exp(gamma[:, items[b]] - gamma[:, items[a]])))
    return chance


def individual(ballots: Ballots, asked, seed: int):
    """Ours: chance that the rater prefers the first, over draws from the rater's posterior and over members."""
    learned, v = learn(ballots, RunConfig(seed=seed, voters=2_000)), ballots.vocabulary
    index = [dict(zip(known, range(len(known)))) for known in (v.raters, v.prompts, v.completions)]
    look = lambda which, names: np.array([index[which].get(x, -1) for x in names])
    rater, prompt, one, other = (look(w, names) for w, names in zip((0, 1, 2, 2), asked[:4]))
    known = (rater >= 0) & (prompt >= 0) & (one >= 0) & (other >= 0)
    chance, rng, each, draws = (
        np.zeros(len(rater)),
        np.random.default_rng(seed),
        (learned, *learned.others),
        16,
    )
    for member in each:
        pairs, latent = member.individual.pairs, member.mean.shape[1]
        high, low = pairs.index(prompt, one), pairs.index(prompt, other)
        there = known & (high >= 0) & (low >= 0)
        for _ in range(draws):
            z = member.mean + member.sigma[:, None] * rng.standard_normal((len(member.mean), latent))
            scored = np.asarray(rewards(member.individual, z))
            gap = np.zeros(len(rater))
            gap[there] = scored[rater[there], high[there]] - scored[rater[there], low[there]]
            chance += 1 / (1 + np.exp(-gap / learned.voters.temperature)) / draws / len(each)
    return chance


def predict(method: str, shown: Ballots, asked, seed: int):
    """Chance that the first of each asked pair is above the second."""
    said = pairs_of(shown)
    if method == "majority":
        return majority(said, asked)
    if method == "mixture":
        return mixture(said, asked, rng=np.random.default_rng(seed))
    if method == "individual":
        return individual(shown, asked, seed)
    return one_reward(said, asked, method == "bradley_terry")


def scores(chance, asked) -> dict[str, float]:
    """Accuracy, cross entropy, Kendall's tau and whole ballots in order."""
    tie, ballot = asked[4], asked[5]
    right = np.where(np.abs(chance - 0.5) < 1e-9, 0.5, chance > 0.5)
    safe = np.clip(chance, 1e-6, 1 - 1e-6)
    nats = -np.where(tie, 0.5 * (np.log(safe) + np.log1p(-safe)), np.log(safe))
    whole = np.array([right[(ballot == b) & ~tie].min(initial=1.0) == 1.0 for b in np.unique(ballot[~tie])])
    strict = float(right[~tie].mean())
    return {
        "accuracy": strict,
        "cross_entropy": float(nats.mean()),
        "kendall_tau": 2 * strict - 1,
        "whole_ballots": float(whole.mean()),
    }


def readme():
    """The table between the two comments of `benchmarks/README.md`."""
    with RESULTS.open() as file:
        found = {
            (r["data"], r["method"], r["score"], r["seed"]): float(r["value"]) for r in csv.DictReader(file)
        }
    lines = ["| data | method | seeds | " + " | ".join(SCORES) + " | ahead by |", "|---" * 8 + "|"]
    for name in dict.fromkeys(data for data, *_ in found):
        seeds = lambda m, name=name: sorted({k[3] for k in found if k[:2] == (name, m)})
        of = lambda m, score, some, name=name: np.array([found[name, m, score, seed] for seed in some])
        for method in (m for m in METHODS if seeds(m)):
            cells, ahead = [f"{of(method, s, seeds(method)).mean():.3f}" for s in SCORES], ""
            if method == "individual":
                some = seeds(method)
                rivals = [m for m in METHODS if m != method and set(some) <= set(seeds(m))]
                best = min(rivals, key=lambda m, of=of, some=some: of(m, "cross_entropy", some).mean())
                gap = of(best, "cross_entropy", some) - of(method, "cross_entropy", some)
                error = f" ({gap.std(ddof=1) / len(gap) ** 0.5:.3f})" if len(gap) > 1 else ", one seed"
                ahead = f"{gap.mean():+.3f}{error} of {best}"
            lines.append(f"| {name} | {method} | {len(seeds(method))} | {' | '.join(cells)} | {ahead} |")
    write_table("held-out", lines)


def main(arguments):
    """Data set by data set and seed by seed."""
    if not RESULTS.exists():
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    fine = {"", configuration()}
    with RESULTS.open() as file:
        rows = [r for r in csv.DictReader(file) if not arguments.stale or r["configuration"] in fine]
    known = {(r["data"], r["method"], r["seed"]) for r in rows}
    until = time.monotonic() + 60 * arguments.minutes
    for seed in arguments.seeds:
        for name in arguments.data:
            left = [m for m in arguments.methods if (name, m, str(seed)) not in known]
            if not left:
                continue
            shown, hidden = split(name, seed)
            asked = pairs_of(hidden)
            for method in left:
                if time.monotonic() > until:
                    return
                chance = predict(method, shown, asked, seed)
                found = scores(chance, asked)
                said = configuration() if method == "individual" else ""
                rows = [(name, method, seed, s, f"{v:.5f}", said) for s, v in found.items()]
                this = (name, method, str(seed))
                gone = lambda r, this=this: (r["data"], r["method"], r["seed"]) == this
                exchange(RESULTS, COLUMNS, gone, rows)
                print(name, seed, method, {s: round(v, 3) for s, v in found.items()}, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["squality", "mtbench", "jester", "ukpconvarg"])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--stale", action="store_true", help="ours anew, where learned under older defaults")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--readme", action="store_true", help="write the summary, measure nothing")
    asked = parser.parse_args()
    readme() if asked.readme else main(asked)
