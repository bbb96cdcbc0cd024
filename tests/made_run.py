"""A run's folder without a run: what `report` and `findings` read, made from random numbers."""

import csv
import json

import numpy as np

from socialrm.aggregation import aggregate
from socialrm.ballots import make_ballots
from socialrm.validate import validate

RULES = ("borda", "copeland", "minimax", "plurality")
METRICS = {
    "n_raters": 2000,
    "n_ballots": 4000,
    "n_prompts": 2,
    "n_completions": 4,
    "left_out": {"ballots of one completion": 12},
    "density_components": 4,
    "density_family": "spherical",
    "temperature": 0.731,
    "density_shares": [0.42, 0.26, 0.17, 0.15],
    "latent": {"active_units": 8, "units": 8, "own": 0.3, "swapped": 3.5, "alone": 1.2},
    "warnings": ["two components overlap: their voters blend"],
}
CONFIG = {
    "rule": "borda",
    "seed": 0,
    "electorate": "completed",
    "orders": "sampled",
    "voters": 10_000,
    "individual": {"beta": 0.02, "architecture": {"width": 32, "latent": 8}, "masking": {"hide": "fraction"}},
    "social": {"optimisation": {"steps": 1000}},
    "versions": {"socialrm": "0.1.0", "jax": "0.10.2"},
}


def history(stage, steps=3000):
    for step in range(100, steps + 1, 100):
        falling = float(np.exp(-step / 500))
        row = {"stage": stage, "step": step, "loss": 0.4 + falling}
        if stage == "individual":
            rho = min(max((step / steps - 0.3) / 0.5, 0.0), 1.0)
            row |= {"list_mle": 0.3 + falling, "kl": 9.0, "penalty": 1.0, "sigma": 0.4, "rho": rho}
        yield row


def write_orders(path, contests, rule, voters, shares):
    """Orders of every contest under a rule, as the pipeline writes them; returns the winners."""
    winners = {}
    sizes = np.array([len(names) for names in contests.values()])
    mask = np.arange(voters.shape[2]) < sizes[:, None]
    ranks = np.where(mask[:, None, :], np.where(mask[:, None, :], voters, np.inf).argsort(2).argsort(2), -1)
    order = aggregate(ranks, rule, weights=shares, mask=mask)
    with path.open("w", newline="", encoding="utf-8") as lines:
        out = csv.writer(lines)
        out.writerow(["prompt", "completion", "rank", "score"])
        for i, (prompt, names) in enumerate(contests.items()):
            for c in np.argsort(order.ranks[i, : len(names)], kind="stable"):
                out.writerow([prompt, names[c], order.ranks[i, c], repr(float(order.scores[i, c]))])
            winners[prompt] = [n for n, r in zip(names, order.ranks[i]) if r == 0]
    return winners


def make_run(folder, contests, *, seed=0, quality=True):
    """Everything that the pipeline writes and the report reads; contests: prompt -> completions."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    (folder / "timing.json").write_text(json.dumps({"individual": 15.2, "total": 31.0}))
    rows = [row for stage in ("individual", "social", "vanilla") for row in history(stage)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kind = rng.choice(4, 10_000, p=[0.42, 0.26, 0.15, 0.17])
    mean, covariance = 3 * rng.standard_normal((4, 8)), np.stack([0.16 * np.eye(8)] * 4)
    z = mean[kind] + 0.4 * rng.standard_normal((10_000, 8))
    density = {"density_mean": mean, "density_covariance": covariance}
    np.savez(folder / "voters.npz", z=z.astype(np.float32), component=kind.astype(np.int32), **density)
    most = max(map(len, contests.values()))
    voters = rng.standard_normal((len(contests), 4, most))
    shares = np.array([0.42, 0.26, 0.15, 0.17])
    with (folder / "rule_impact.csv").open("w", newline="", encoding="utf-8") as lines:
        out = csv.writer(lines)
        out.writerow(["prompt", "rule", "winner", "gain"])
        own = {}
        for rule in RULES:
            target = {"borda": "social_orders.csv", "plurality": "vanilla_orders.csv"}.get(rule, "other.csv")
            winners = write_orders(folder / target, contests, rule, voters, shares)
            own = own or winners  # the first rule is the run's
            for i, (p, names) in enumerate(winners.items()):
                place = {name: voters[i, :, c] for c, name in enumerate(contests[p])}
                gain = {w: np.mean([shares @ (place[w] < place[o]) for o in own[p]]) for w in names}
                out.writerows([p, rule, w, "" if w in own[p] else round(gain[w], 4)] for w in names)
    (folder / "other.csv").unlink()
    if quality:
        ballots = [(f"r{i}", p, names) for i in range(4) for p, names in contests.items() if len(names) > 1]
        facts = validate(make_ballots(ballots, group={"r0": "north", "r1": "south"}))
        (folder / "data_quality.json").write_text(json.dumps(facts.as_dict()))
    return folder


TENNESSEE = {
    "Which city should be the capital of Tennessee?": ["Memphis", "Nashville", "Chattanooga", "Knoxville"],
    "Which city should least be the capital of Tennessee?": [
        "Memphis",
        "Nashville",
        "Chattanooga",
        "Knoxville",
    ],
}


def many_contests(n, candidates=10, length=400):
    """Contests with long texts."""
    words = "a reward model whose aggregation rule you choose learns from many people at once".split()
    rng = np.random.default_rng(1)
    text = lambda k: " ".join(rng.choice(words, k // 6))
    return {f"Prompt {i}: {text(200)}": [f"{c}: {text(length)}" for c in range(candidates)] for i in range(n)}
