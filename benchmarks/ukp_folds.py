"""UKPConvArg, one of 32 topic-and-stance folds left out; appends to benchmarks/results/ukp_folds.csv, skipping rows already there.

    python benchmarks/ukp_folds.py [--folds 0 1 ...] [--seeds 3] [--methods linear vanilla individual] [--minutes 60]

Trained on the votes of 31 folds, ties included; tested on the other fold, ties left out. Consensus: the majority of each pair's votes,
pairs without one left out; clear: pairs whose majority leads by two votes or more, 11,770 of 16,927, about as many as published studies keep
after cleaning. Personal: each rater's own votes. Features: all-MiniLM-L6-v2 vectors of the arguments and ten counts of tokens.

linear      Bradley-Terry with a ridge, on the same standardised numbers but for one count, the log of length; seed-free
kernel      Bradley-Terry with a Gaussian process prior over vectors, counts and words (socialrm.kernels; `socialrm run --kernel`); seed-free
raters      the kernel, and each rater's own weights of how a text is written, six principal directions of its counts, under a Gaussian prior; seed-free
orders      the same, trained on one social order a topic, Borda on its votes, as a run's social model is; seed-free
vanilla     one reward for everybody, pairwise loss; personal votes are predicted by it too
individual  consensus: mean reward of voters simulated from the density; personal: the reward at a rater's own preference mean, which is read off
            the rater's votes in the training folds

Rows: method, fold, seed, score, value. The linear ridge and the settings of the neural models were chosen on every third fold, the kernels and their ridge on
folds 3, 9, 15, 18, 21 and 27, and what else was tried on those and 1, 2, 4 and 5; what the others say is untouched by any choice. `--readme` writes the table of benchmarks/README.md and computes nothing.
"""

import argparse
import csv
import time
from pathlib import Path

import jax
import numpy as np
from pages import write_table
from sklearn.linear_model import LogisticRegression

from socialrm.architecture import Architecture
from socialrm.ballots import Ballots
from socialrm.datasets import load
from socialrm.density import fit_density
from socialrm.embeddings import TextEncoder, with_embeddings
from socialrm.individual import IndividualConfig, embed, rewards, train_individual
from socialrm.kernels import comparisons, style_counts
from socialrm.pairs import Pairs
from socialrm.pools import order_ballots, rater_ballots
from socialrm.social import SocialConfig, train_reward
from socialrm.training import Optimisation

RESULTS = Path(__file__).parent / "results" / "ukp_folds.csv"
COLUMNS = ("method", "fold", "seed", "score", "value")
CHOSEN_ON = frozenset(range(0, 32, 3)) | {1, 2, 4, 5}
RIDGE = 1e-4
KERNEL = SocialConfig(interpretation="kernel")
TASTE = 0.1  # prior variance of a rater's weights
SEED_FREE = ("linear", "kernel", "raters", "orders")
SOCIAL = SocialConfig(
    Architecture(hidden=32, features=32, gains=1, dropout=0.5),
    Optimisation(steps=300, batch=512, learning_rate=3e-3, weight_decay=0.0),
    "embeddings",
)
INDIVIDUAL = IndividualConfig(
    Architecture(gains=1, dropout=0.5),
    optimisation=Optimisation(steps=600, batch=64, learning_rate=2e-3),
    interpretation="embeddings",
    held_out=0.0,
)


def fold_pairs(ballots: Ballots, fold: int) -> Pairs:
    """What the left-out fold has to be scored on."""
    everything = Pairs.of(ballots)
    here = everything.prompt == fold
    return Pairs(everything.prompt[here], everything.completion[here], ballots.vocabulary)


def strict_votes(ballots: Ballots, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Winner, loser and rater of the votes that are no ties."""
    rows = rows & (ballots.rank[:, 1] > 0)
    return ballots.completion[rows, 0], ballots.completion[rows, 1], ballots.rater[rows]


def majorities(winner: np.ndarray, loser: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs by their majority's winner, and by how many votes; even ones left out."""
    one, other = np.minimum(winner, loser), np.maximum(winner, loser)
    pair, vote = np.unique(one * n + other, return_inverse=True)
    lead = np.bincount(vote, weights=np.where(winner == one, 1, -1))
    one, other, lead = (x[lead != 0] for x in (pair // n, pair % n, lead))
    return np.where(lead > 0, one, other), np.where(lead > 0, other, one), np.abs(lead)


def linear(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, None]:
    """Bradley-Terry with a ridge."""
    v = train.vocabulary.vectors
    table = np.asarray(v.completion)[
        :, : v.completion.shape[1] - v.counts + 1
    ]  # the first count is log tokens
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 1e-4 * spread.max(), spread, 1.0)
    winner, loser, _ = strict_votes(train, np.ones(train.n_ballots, bool))
    one, other = np.minimum(winner, loser), np.maximum(winner, loser)
    key, vote = np.unique(one.astype(np.int64) * len(table) + other, return_inverse=True)
    won, total = np.bincount(vote, weights=winner == one), np.bincount(vote)
    gap = table[key // len(table)] - table[key % len(table)]
    model = LogisticRegression(C=RIDGE, fit_intercept=False, max_iter=500)
    label = np.repeat([1, 0], len(gap))
    model.fit(np.concatenate([gap, gap]), label, sample_weight=np.concatenate([won, total - won]))
    return table[asked.completion] @ model.coef_[0], None


def kernel(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, None]:
    """Bradley-Terry with a Gaussian process prior."""
    pairs = Pairs.of(train)
    return train_reward(rater_ballots(train, pairs), pairs, KERNEL, key=jax.random.key(seed)).score(
        asked
    ), None


def raters(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's reward plus each rater's deviation from it: a logistic regression each, by Newton's method."""
    v, pairs = train.vocabulary, Pairs.of(train)
    reward = train_reward(rater_ballots(train, pairs), pairs, KERNEL, key=jax.random.key(seed))
    everywhere = Pairs(
        np.zeros(len(v.completions), np.int32), np.arange(len(v.completions), dtype=np.int32), v
    )
    score, counts = reward.score(everywhere), np.asarray(v.vectors.completion[:, -v.vectors.counts :])
    form = np.concatenate([counts, [style_counts(text) for text in v.text_of_completions()]], axis=1)
    known = form[np.unique(pairs.completion)]
    spread = known.std(axis=0)
    scaled = (form - known.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    _, size, direction = np.linalg.svd(scaled[np.unique(pairs.completion)], full_matrices=False)
    form = scaled @ direction[:6].T / size[:6] * (len(known) / 6) ** 0.5
    first, second, won, ballot = comparisons(train.completion, train.rank)
    rater = train.rater[ballot]
    gap, away = score[first] - score[second], form[first] - form[second]
    weight, prior = np.zeros((train.n_raters, 6)), np.eye(6) / TASTE
    start = np.flatnonzero(np.diff(rater, prepend=-1))  # ballots come rater by rater
    who = rater[start]
    for _ in range(4):
        p = 1 / (1 + np.exp(-gap - (away * weight[rater]).sum(axis=1)))
        slope = np.add.reduceat(away * (won - p)[:, None], start) - weight[who] @ prior
        bend = np.add.reduceat(away[:, :, None] * away[:, None, :] * (p * (1 - p))[:, None, None], start)
        weight[who] += np.linalg.solve(bend + prior, slope[:, :, None])[:, :, 0]
    everybody = reward.score(asked)
    return everybody, everybody + weight @ form[asked.completion].T


def orders(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, None]:
    """A kernel that knows each topic's order alone: mean shares of votes won, over the pairs of a topic."""
    pairs, contests, n = Pairs.of(train), train.contests(), len(train.vocabulary.completions)
    one, other = train.completion.min(axis=1).astype(np.int64), train.completion.max(axis=1)
    won = np.where(train.rank[:, 1] == 0, 0.5, train.completion[:, 0] == one)
    key, vote = np.unique(one * n + other, return_inverse=True)
    share = np.bincount(vote, won) / np.bincount(vote)
    total = np.bincount(key // n, share, n) + np.bincount(key % n, 1 - share, n)
    mean = total / np.maximum(np.bincount(key // n, minlength=n) + np.bincount(key % n, minlength=n), 1)
    scores = np.where(contests.completion >= 0, mean[contests.completion], -1.0)
    ranks = np.where(contests.completion >= 0, (scores[:, None, :] > scores[:, :, None]).sum(axis=2), -1)
    source = order_ballots(contests, ranks, pairs)
    return train_reward(source, pairs, KERNEL, key=jax.random.key(seed)).score(asked), None


def vanilla(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, None]:
    """One reward for everybody."""
    pairs = Pairs.of(train)
    reward = train_reward(rater_ballots(train, pairs), pairs, SOCIAL, key=jax.random.key(seed))
    return reward.score(asked), None


def individual(train: Ballots, asked: Pairs, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean reward of simulated voters, and each rater's own."""
    model = train_individual(train, INDIVIDUAL, key=jax.random.key(seed))
    (mean, sigma), rng = embed(model, train), np.random.default_rng(seed)
    density, _ = fit_density(mean, sigma, train.weight, rng=rng)
    voters = density.sample(2_000, rng=rng)[0]
    print(f"    {model.history[-1]}", flush=True)
    return np.asarray(rewards(model, voters, asked)).mean(axis=0), np.asarray(rewards(model, mean, asked))


METHODS = {
    "linear": linear,
    "kernel": kernel,
    "raters": raters,
    "orders": orders,
    "vanilla": vanilla,
    "individual": individual,
}


def accuracies(ballots: Ballots, fold: int, asked: Pairs, everybody, own) -> dict[str, float]:
    """Shares of pairs and of votes that are predicted; equal rewards count half."""
    n, here = len(ballots.vocabulary.completions), ballots.prompt == fold
    at = np.full(n, -1)
    at[asked.completion] = np.arange(len(asked.completion))
    winner, loser, rater = strict_votes(ballots, here)
    best, worst, lead = majorities(winner.astype(np.int64), loser.astype(np.int64), n)
    right = lambda gap: float(((gap > 0) + 0.5 * (gap == 0)).mean())
    personal = everybody[None] if own is None else own
    who = np.zeros_like(rater) if own is None else rater
    return {
        "consensus": right(everybody[at[best]] - everybody[at[worst]]),
        "clear": right((everybody[at[best]] - everybody[at[worst]])[lead > 1]),
        "personal": right(personal[who, at[winner]] - personal[who, at[loser]]),
        "personal, by the consensus": right(everybody[at[winner]] - everybody[at[loser]]),
    }


def done() -> set[tuple[str, str, str]]:
    """(method, fold, seed) already in the file."""
    if not RESULTS.exists():
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    with RESULTS.open() as file:
        return {(r["method"], r["fold"], r["seed"]) for r in csv.DictReader(file)}


def stored() -> dict[tuple[str, str], dict[int, float]]:
    """(method, score) -> fold -> mean over seeds."""
    found: dict = {}
    with RESULTS.open() as file:
        for row in csv.DictReader(file):
            found.setdefault((row["method"], row["score"]), {}).setdefault(int(row["fold"]), []).append(
                float(row["value"])
            )
    return {
        name: {fold: float(np.mean(values)) for fold, values in folds.items()}
        for name, folds in found.items()
    }


def table() -> list[str]:
    """Every method against linear on the folds that both have."""
    found = stored()
    lines = [
        "| method | score | folds | mean | linear on the same | ahead by (standard error) | folds ahead | untouched folds: mean, ahead by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        for score in ("consensus", "clear", "personal"):
            here, base = found.get((method, score), {}), found[("linear", score)]
            folds = sorted(here)
            if not folds:
                continue
            gap = np.array([here[f] - base[f] for f in folds])
            clean = [f for f in folds if f not in CHOSEN_ON]
            error = gap.std(ddof=1) / len(gap) ** 0.5 if len(gap) > 1 else float("nan")
            mean = lambda values: f"{np.mean(values):.3f}" if len(values) else "-"
            ahead = "-" if method == "linear" else f"{gap.mean():+.3f} ({error:.3f})"
            better = "-" if method == "linear" else f"{int((gap > 0).sum())}"
            rest = mean([here[f] for f in clean])
            rest += "" if method == "linear" else f", {np.mean([here[f] - base[f] for f in clean]):+.3f}"
            cells = (method, score, len(folds), mean([here[f] for f in folds]))
            cells = (*cells, mean([base[f] for f in folds]), ahead, better, rest)
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main(arguments: argparse.Namespace) -> None:
    """Fold by fold."""
    ballots = with_embeddings(load("ukpconvarg1"), TextEncoder(device="cpu"))
    known, until = done(), time.monotonic() + 60 * arguments.minutes
    for seed in range(arguments.seeds):
        for method in arguments.methods:
            for fold in arguments.folds:
                if (method, str(fold), str(seed)) in known or (method in SEED_FREE and seed):
                    continue
                if time.monotonic() > until:
                    return
                start, asked = time.monotonic(), fold_pairs(ballots, fold)
                train = ballots.keep(ballots.mask & (ballots.prompt != fold)[:, None])
                found = accuracies(ballots, fold, asked, *METHODS[method](train, asked, seed))
                with RESULTS.open("a", newline="") as file:
                    rows = csv.writer(file, lineterminator="\n")
                    rows.writerows(
                        (method, fold, seed, score, round(value, 4)) for score, value in found.items()
                    )
                told = {score: round(value, 3) for score, value in found.items()}
                print(method, fold, seed, told, f"{time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folds", nargs="*", type=int, default=list(range(32)))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--readme", action="store_true", help="write the table, compute nothing")
    asked = parser.parse_args()
    write_table("ukp", table()) if asked.readme else main(asked)
