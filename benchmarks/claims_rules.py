"""Claims about rules and voters: vanilla is Borda, who the voters are, twins, strategic raters, irrelevant alternatives."""

from dataclasses import replace

import jax
import numpy as np
from claims_latent import context_figures, population_of
from claims_missing import VOTERS, baselines, orders_gap, ours
from prefsampling.ordinal import mallows
from reproduce import margins, profiles_of

from socialrm import populations
from socialrm.aggregation import aggregate
from socialrm.baselines import Stages, fit_plackett_luce
from socialrm.density import fit_density
from socialrm.diagnostics import separation
from socialrm.estimates import observed
from socialrm.individual import interpretation_inputs
from socialrm.learning import RunConfig, electorate, learn
from socialrm.missing import compare, hide_by_type, truth
from socialrm.pools import order_ballots, rater_ballots
from socialrm.social import train_reward
from socialrm.unseen import prompt_support, rated_by_alike

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


GAMES = {
    # Borda elects Nashville. Knoxville's raters prefer Chattanooga, which wins if enough of them bury Nashville.
    "burying": (populations.tennessee, {"shares": (0.40, 0.26, 0.10, 0.24), "inverse": False}, 3, 2, 1),
    # Borda elects A, the favourite of those who hardly mind. Those who do mind can bury it.
    "distortion": (populations.distortion, {}, 1, 4, 0),
}


def strategic(seed, case):
    """A coalition of one type misreports (one completion first, one last), and everything is learned from what it says."""
    name, share = case.split(", ")
    make, settings, kind, first, last = GAMES[name]
    population = population_of(make, seed, **settings)
    ballots, rng, config = (
        population.ballots,
        np.random.default_rng(seed),
        RunConfig(seed=seed, voters=VOTERS),
    )
    mine = rng.permutation(np.flatnonzero(population.type_of == kind))
    utilities = population.utilities.get("choose")
    if utilities is None:  # a rater's own Borda score
        utilities = 3.0 - np.array(list(population.orders.values())[0], float)
    said = misreport(ballots, mine[: round(float(share.rstrip("%")) / 100 * ballots.n_raters)], first, last)
    learned, electorates = learn(said, config), {"rule alone": (said.profile(0), said.weight)}
    for who in ("completed", "simulated"):
        voted = electorate(learned, said, replace(config, electorate=who))
        electorates[who] = dict(profiles_of(learned, voted, said, seed))[0], voted.weight
    for who, (ranks, weight) in electorates.items():
        for rule in RULES:
            order = aggregate(ranks, rule, weights=weight)
            chance = np.maximum(order.scores, 0) if rule == "maximal_lottery" else 1.0 * order.winners
            chance = chance / chance.sum()
            yield case, f"{rule}, {who}", "coalition's utility", utilities[kind] @ chance
            yield case, f"{rule}, {who}", "mean utility", population.shares @ utilities @ chance
            if who == "simulated" and rule in ("borda", "copeland"):  # to the end: the reward that is learned
                pairs, contests = learned.individual.pairs, said.contests()
                source = order_ballots(contests, order.ranks[None], pairs)
                best = int(train_reward(source, pairs, key=jax.random.key(seed)).score().argmax())
                yield case, f"{rule}, reward model", "coalition's utility", utilities[kind, best]
                yield case, f"{rule}, reward model", "mean utility", population.shares @ utilities[:, best]


strategic.cases = tuple(f"{name}, {share}%" for name in GAMES for share in (0, 5, 10, 20))


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


def noisy(seed, case):
    """No noiseless types: one cluster of raters hardly ranks 30% of the items of each prompt. Mallows mixture and spatial."""
    make, settings = {
        "mallows": (populations.mallows_mixture, {"centres_seed": seed + 60}),
        "spatial": (populations.spatial, {"places_seed": seed + 60}),
    }[case]
    population, rng = population_of(make, seed, n=1_000, **settings), np.random.default_rng(seed)
    complete = population.complete
    ballots = complete.keep(hide_by_type(complete, rng=rng).stays)
    found, learned = ours(ballots, seed)
    goal = truth(complete, complete.contests())
    for method, estimate in (baselines(ballots, seed) | found).items():
        for score, value in compare(estimate, goal).items():
            if np.isfinite(value):
                yield case, method, score, value
        yield case, method, "error of margins", 2 * np.nanmean(np.abs(estimate.support - goal.support))
    if case == "mallows":
        z = learned.mean + learned.sigma[:, None] * rng.standard_normal(learned.mean.shape)
        for figure, value in separation(z, population.type_of).items():
            yield case, "latent", f"types: {figure}", value
        for figure, value in context_figures(learned.individual, complete, population.type_of):
            yield case, "latent", figure, value


noisy.cases = "mallows", "spatial"


def noisy_unseen(seed):
    """The inverted prompt that Nashville never rated, where every ballot is a noisy copy of its type's (Mallows)."""
    population = population_of(populations.inverted_missing, seed)
    whole, phi = population.complete, 0.3
    size = whole.n_places
    shuffled = mallows(whole.n_ballots, size, phi, central_vote=np.arange(size), seed=seed)
    complete = replace(whole, completion=np.take_along_axis(whole.completion, np.asarray(shuffled), axis=1))
    rated = set(zip(population.ballots.rater.tolist(), population.ballots.prompt.tolist()))
    stays = np.array([pair in rated for pair in zip(complete.rater.tolist(), complete.prompt.tolist())])
    ballots = complete.keep(complete.mask & stays[:, None])
    found, learned = ours(ballots, seed)
    goal = truth(complete, complete.contests())
    for method, estimate in (baselines(ballots, seed) | found).items():
        for prompt in (0, 1):
            gap = 2 * np.nanmean(np.abs(estimate.support[prompt] - goal.support[prompt]))
            yield "inverted, noisy", method, f"error of margins, prompt {prompt}", gap
    mine = population.type_of == population.types.index("Nashville")
    voted = electorate(learned, ballots, RunConfig(seed=seed, voters=VOTERS, electorate="completed"))
    ranks = dict(profiles_of(learned, voted, ballots, seed))[1]
    error = margins(ranks[mine[voted.rater]]) - margins(complete.profile(1)[mine])
    yield "inverted, noisy", "completed", "error of margins, prompt 1, unseen type", np.abs(error).mean()
    support = prompt_support(learned.individual, ballots, learned.mean, learned.sigma)
    yield "inverted, noisy", "completed", "support of the unseen cell", np.median(support[mine, 1])
    alike = rated_by_alike(ballots, learned.mean, learned.sigma)[mine, 1]
    yield (
        "inverted, noisy",
        "completed",
        "share of raters alike who rated the unseen cell's prompt",
        np.median(alike),
    )
    individual = learned.individual
    first, second = (np.flatnonzero(individual.pairs.prompt == prompt)[0] for prompt in (0, 1))
    inputs = interpretation_inputs(individual.pairs, individual.config)
    gain = np.asarray(individual.model.interpretation(inputs).gain, np.float64)[[first, second]]
    cosine = gain[0] @ gain[1] / np.prod(np.linalg.norm(gain, axis=1))
    yield "inverted, noisy", "simulated", "cosine of the gains of the two prompts", cosine
