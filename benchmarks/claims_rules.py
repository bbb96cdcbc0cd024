"""Claims about rules and voters: vanilla is Borda, who the voters are, twins, strategic raters, irrelevant alternatives."""

from dataclasses import replace

import jax
import numpy as np
from claims_latent import population_of
from claims_missing import VOTERS, baselines, orders_gap, ours
from reproduce import margins, profiles_of

from socialrm import populations
from socialrm.aggregation import aggregate
from socialrm.baselines import Stages, fit_plackett_luce, observed
from socialrm.density import fit_density
from socialrm.pipeline import RunConfig, electorate, learn
from socialrm.social import rater_ballots, train_reward

RULES = ("borda", "plurality", "irv", "copeland", "minimax", "schulze", "maximal_lottery")


def vanilla(seed):
    """The pairwise loss orders as Borda, list-MLE as Plackett-Luce, on complete data."""
    from socialrm.individual import Pairs

    cases = {
        "tennessee": population_of(populations.tennessee, seed),
        "morristown, complete": population_of(populations.morristown, seed, included=None),
        "mallows": population_of(populations.mallows_mixture, seed, n=400, prompts=4, centres_seed=seed + 60),
        "spatial": population_of(populations.spatial, seed, n=400, prompts=4, places_seed=seed + 60),
    }
    for name, population in cases.items():
        ballots = population.complete
        pairs = Pairs.of(ballots)
        reward = train_reward(rater_ballots(ballots, pairs), pairs, key=jax.random.key(seed))
        contests = ballots.contests()
        tables = observed(ballots, contests)
        same = {"vanilla": [], "plackett_luce": []}
        for prompt, table in zip(contests.prompt, tables):
            borda = aggregate(table, "borda").ranks
            scores = reward.score()[pairs.prompt == prompt]
            likely = fit_plackett_luce(Stages.of(table), ballots.weight)
            for method, found in ("vanilla", scores), ("plackett_luce", likely):
                same[method].append(np.array_equal((found[:, None] < found[None, :]).sum(1), borda))
        for method, equal in same.items():
            yield name, method, "share of contests ordered as Borda", np.mean(equal)


def voters(seed):
    """Footnote 12: voters from the prior, from the density over means or samples, and raters themselves."""
    cases = {
        "tennessee": population_of(populations.tennessee, seed),
        "mallows": population_of(populations.mallows_mixture, seed, centres_seed=seed + 60),
    }
    for name, population in cases.items():
        ballots, rng, config = (
            population.ballots,
            np.random.default_rng(seed),
            RunConfig(seed=seed, members=1),
        )
        learned = learn(ballots, config)
        n, latent = config.voters, learned.mean.shape[1]
        close = learned.mean + 1e-3 * rng.standard_normal(
            learned.mean.shape
        )  # a mixture needs distinct points
        over_means, _ = fit_density(close, np.zeros(len(close)), ballots.weight, config.density, rng=rng)
        chosen = rng.integers(ballots.n_raters, size=n)
        sources = {
            "prior": rng.standard_normal((n, latent)),
            "density over means": over_means.sample(n, rng=rng)[0],
            "density over samples": learned.voters.z,
            "raters, means": learned.mean[chosen],
            "raters, samples": learned.mean[chosen]
            + learned.sigma[chosen, None] * rng.standard_normal((n, latent)),
        }
        for source, z in sources.items():
            who = replace(learned.voters, z=z, rater=np.full(n, -1), weight=np.ones(n))
            error = [
                np.abs(margins(ranks) - margins(population.complete.profile(prompt))).mean()
                for prompt, ranks in profiles_of(learned, who, ballots, seed)
            ]
            yield name, source, "error of margins", np.mean(error)
            if name == "tennessee":
                gap = [orders_gap(replace(learned, voters=who), population, seed, p) for p in (0, 1)]
                yield name, source, "total variation", max(gap)


def twins(seed):
    """Two populations with the same margins and no order in common."""
    made = populations.pairwise_twins(key=jax.random.key(50_000 + seed))
    shares = []
    for population in made:
        learned = learn(population.ballots, RunConfig(seed=seed))
        ranks = dict(profiles_of(learned, learned.voters, population.ballots, seed))[0]
        orders, counts = np.unique(ranks, axis=0, return_counts=True)
        shares.append({tuple(map(int, o)): c / counts.sum() for o, c in zip(orders, counts)})
    truth = [{tuple(map(int, o)): s for o, s in zip(p.orders["choose"], p.shares)} for p in made]
    distance = lambda a, b: 0.5 * sum(abs(a.get(o, 0) - b.get(o, 0)) for o in {**a, **b})
    for i in (0, 1):
        yield (
            "twins",
            "simulated",
            f"total variation to its own population, {i}",
            distance(shares[i], truth[i]),
        )
        yield "twins", "simulated", f"total variation to the other, {i}", distance(shares[i], truth[1 - i])
    gap = np.abs(margins(made[0].complete.profile(0)) - margins(made[1].complete.profile(0))).max()
    yield "twins", "complete data", "largest difference of margins", gap


def misreport(ballots, members, first, last):
    """The same ballots, on which the members put one completion first and another last."""
    completion, rank = ballots.completion.copy(), ballots.rank.copy()
    for row in np.flatnonzero(np.isin(ballots.rater, members)):
        there = completion[row][completion[row] >= 0].tolist()
        rest = [c for c in there if c not in (first, last)]
        completion[row][: len(there)] = [first, *rest, last]
        rank[row][: len(there)] = np.arange(len(there))
    return replace(ballots, completion=completion, rank=rank)


def strategic(seed):
    """A coalition of the strongest minority misreports, and everything is learned from what it says."""
    cases = {
        "tennessee": (
            population_of(populations.tennessee, seed, inverse=False),
            0,
            0,
            1,
        ),  # Memphis against Nashville
        "distortion": (population_of(populations.distortion, seed), 0, 0, 4),  # the mild for A against E
    }
    for name, (population, kind, first, last) in cases.items():
        ballots, rng = population.ballots, np.random.default_rng(seed)
        mine = rng.permutation(np.flatnonzero(population.type_of == kind))
        utilities = population.utilities.get("choose")
        if utilities is None:  # a rater's own Borda score
            utilities = -np.array(list(population.orders.values())[0], float)
        for share in (0.0, 0.05, 0.1, 0.2):
            said = misreport(ballots, mine[: round(share * ballots.n_raters)], first, last)
            learned = learn(said, RunConfig(seed=seed, voters=VOTERS))
            for who in ("completed", "simulated"):
                voted = electorate(learned, said, RunConfig(seed=seed, voters=VOTERS, electorate=who))
                ranks = dict(profiles_of(learned, voted, said, seed))[0]
                for rule in RULES:
                    scores = aggregate(ranks, rule, weights=voted.weight).scores
                    chance = scores if rule == "maximal_lottery" else (scores == scores.max())
                    chance = np.maximum(chance, 0) / np.maximum(chance, 0).sum()
                    yield (
                        f"{name}, {share:.0%}",
                        f"{rule}, {who}",
                        "coalition's utility",
                        utilities[kind] @ chance,
                    )
                    yield (
                        f"{name}, {share:.0%}",
                        f"{rule}, {who}",
                        "mean utility",
                        population.shares @ utilities @ chance,
                    )


def irrelevant(seed):
    """A completion leaves the contest, or the training data: how often does the order of the rest change?"""
    population = population_of(
        populations.mallows_mixture, seed, n=800, prompts=6, places_per_ballot=4, centres_seed=seed + 60
    )
    ballots = population.ballots
    gone = ballots.contests().completion[:, 0]  # the first of each prompt
    without = ballots.keep(ballots.mask & ~np.isin(ballots.completion, gone))
    config, found = RunConfig(seed=seed, voters=VOTERS), {}
    for name, some in ("all", ballots), ("trained without", without):
        learned = learn(some, config)
        for who in ("completed", "simulated"):
            voted = electorate(learned, some, replace(config, electorate=who))
            found[name, who] = dict(profiles_of(learned, voted, some, seed)), voted.weight
    pooled = {
        name: baselines(some, seed, ("vanilla",))["vanilla"].borda
        for name, some in (("all", ballots), ("trained without", without))
    }
    changed = lambda a, b: np.mean([np.array_equal(order(x), order(y)) for x, y in zip(a, b)])
    order = lambda scores: np.sign(np.round(scores[:, None] - scores[None, :], 6))
    yield (
        "trained without",
        "vanilla",
        "share of contests whose rest keeps its order",
        changed([s[1:] for s in pooled["all"]], [s[~np.isnan(s)] for s in pooled["trained without"]]),
    )
    for who in ("completed", "simulated"):
        (ranks, weight), (fewer, fewer_weight) = found["all", who], found["trained without", who]
        for rule in RULES:
            whole = [aggregate(r, rule, weights=weight).scores[1:] for r in ranks.values()]
            cut = [aggregate(r[:, 1:], rule, weights=weight).scores for r in ranks.values()]
            trained = [aggregate(r, rule, weights=fewer_weight).scores for r in fewer.values()]
            figure = "share of contests whose rest keeps its order"
            yield "left out of the contest", f"{rule}, {who}", figure, changed(whole, cut)
            yield "trained without", f"{rule}, {who}", figure, changed(whole, trained)


def noisy(seed):
    """Populations without noiseless types: margins of voters, and vanilla's order against Borda's."""
    cases = {
        "mallows": population_of(
            populations.mallows_mixture, seed, places_per_ballot=4, centres_seed=seed + 60
        ),
        "spatial": population_of(populations.spatial, seed, places_per_ballot=4, places_seed=seed + 60),
    }
    from socialrm.missing import compare, truth

    for name, population in cases.items():
        found, _ = ours(population.ballots, seed)
        goal = truth(population.complete, population.complete.contests())
        for method, estimate in (baselines(population.ballots, seed) | found).items():
            for score, value in compare(estimate, goal).items():
                if np.isfinite(value):
                    yield name, method, score, value
            yield name, method, "error of margins", 2 * np.nanmean(np.abs(estimate.support - goal.support))
