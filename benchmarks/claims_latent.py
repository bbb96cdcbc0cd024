"""Claims about the latent space: the appendix's diagnostics, the masks that fail, and the latent's size."""

from dataclasses import replace
from itertools import combinations

import jax
import numpy as np
from reproduce import profiles_of

from socialrm import populations
from socialrm.diagnostics import separation
from socialrm.individual import IndividualConfig, Pairs, embed, rewards, train_individual
from socialrm.masking import FAILING
from socialrm.pipeline import RunConfig, learn

KEY = 50_000


def population_of(make, seed, **settings):
    """A population that nothing was tuned on."""
    return make(key=jax.random.key(KEY + seed), **settings)


def one_of_each(population):
    """A rater of each type, all their ballots."""
    return np.array([int(np.flatnonzero(population.type_of == t)[0]) for t in range(len(population.types))])


def orders_of(individual, z, prompt, size):
    """Modal ranks of representations on a prompt."""
    pairs = individual.pairs
    asked = Pairs(np.full(size, prompt), np.arange(size), pairs.vocabulary)
    scored = np.asarray(rewards(individual, z, asked))
    return (scored[:, :, None] < scored[:, None, :]).sum(axis=2)


def partial_ballots(population):
    """A rater of each type under every mask of both ballots: ballots, what is shown, types, which types are compatible."""
    ballots, who = population.ballots, one_of_each(population)
    size = ballots.n_places
    each = ballots.subset(who)
    masks = np.array([[m >> i & 1 for i in range(2 * size)] for m in range(1, 4**size)], bool)
    ranks = np.stack(
        [np.stack([population.complete.subset(who).profile(p)[t] for p in (0, 1)]) for t in range(len(who))]
    )
    shown, compatible = [], []
    for mask in masks:
        visible = mask.reshape(2, size)
        same = np.ones((len(who), len(who)), bool)
        for p in (0, 1):
            seen = np.flatnonzero(visible[p])
            for i, j in combinations(seen, 2):
                ahead = ranks[:, p, i] < ranks[:, p, j]
                same &= ahead[:, None] == ahead[None, :]
        shown.append(np.take_along_axis(visible[each.prompt], each.completion, axis=1))
        compatible.append(same)
    return each, np.array(shown), np.array(compatible)


def posterior_gap(individual, population, mean, sigma, compatible, rng, draws=64):
    """Total variation between the decoded orders of a representation and the Bayes posterior over compatible types."""
    size = population.ballots.n_places
    z = mean + sigma * rng.standard_normal((draws, len(mean)))
    decoded = orders_of(individual, z, 0, size)
    truth = list(population.orders.values())[0]
    share = np.array([(decoded == np.asarray(order)).all(axis=1).mean() for order in truth])
    bayes = np.where(compatible, population.shares, 0.0)
    bayes = bayes / bayes.sum()
    return 0.5 * (np.abs(share - bayes).sum() + 1 - share.sum())


def partial_figures(individual, population, centre, rng):
    """How ballots with places hidden are placed."""
    each, shown, compatible = partial_ballots(population)
    right, unsure, gaps, sure = [], [], [], []
    for mask, same in zip(shown, compatible):
        mean, sigma = embed(individual, each, shown=mask, batch=len(centre))
        nearest = np.linalg.norm(mean[:, None] - centre, axis=-1).argmin(axis=1)
        hit = same[np.arange(len(nearest)), nearest]
        alone = same.sum(axis=1) == 1
        right += hit[alone].tolist()
        unsure += hit[~alone].tolist()
        for t in range(len(mean)):
            gap = posterior_gap(individual, population, mean[t], sigma[t], same[t], rng)
            (sure if alone[t] else gaps).append(gap)
    yield "partial, one type compatible: share nearest to it", np.mean(right)
    yield "partial, several compatible: share nearest to one of them", np.mean(unsure)
    yield "partial, one type compatible: total variation to the posterior", np.mean(sure)
    yield "partial, several compatible: total variation to the posterior", np.mean(gaps)


def interpolation_figures(individual, centre):
    """Rewards on the way from one type to another."""
    way, monotone, bend = np.linspace(0, 1, 41)[:, None], [], []
    for i, j in combinations(range(len(centre)), 2):
        scored = np.asarray(rewards(individual, centre[i] + way * (centre[j] - centre[i])), np.float64)
        for prompt in np.unique(individual.pairs.prompt):
            on = scored[:, individual.pairs.prompt == prompt]
            for a, b in combinations(range(on.shape[1]), 2):
                gap = on[:, a] - on[:, b]
                steps, scale = np.diff(gap), np.ptp(on[:, :])
                monotone.append((steps >= -1e-3 * scale).all() or (steps <= 1e-3 * scale).all())
                bend.append(np.abs(np.diff(gap, 2)).max() / scale)
    yield "interpolation: share of reward differences that are monotone", np.mean(monotone)
    yield "interpolation: largest second difference over the range", np.max(bend)


def diagnostics(seed):
    """The appendix's four figures as numbers, on Tennessee."""
    population, rng = population_of(populations.tennessee, seed), np.random.default_rng(seed)
    ballots, kind = population.ballots, population.type_of
    individual = train_individual(ballots, key=jax.random.key(seed))
    mean, sigma = embed(individual, ballots)
    z = mean + sigma[:, None] * rng.standard_normal(mean.shape)
    for name, value in separation(z, kind).items():
        yield "tennessee", "curriculum", f"types: {name}", value
    views = []
    for prompt in (0, 1):
        only = ballots.mask & (ballots.prompt == prompt)[:, None]
        views.append(embed(individual, ballots, shown=only)[0])
    both = separation(np.concatenate(views), np.tile(kind, 2))
    yield "tennessee", "curriculum", "contexts: between_over_within", both["between_over_within"]
    yield "tennessee", "curriculum", "contexts: centroid_accuracy", both["centroid_accuracy"]
    centre = np.stack([mean[kind == t].mean(axis=0) for t in range(len(population.types))])
    for figure, value in partial_figures(individual, population, centre, rng):
        yield "tennessee", "curriculum", figure, value
    for figure, value in interpolation_figures(individual, centre):
        yield "tennessee", "curriculum", figure, value


def pair_accuracy(individual, population, shown, wanted, z=None):
    """Share of pairs of wanted places that the representation of what is shown orders as the rater would."""
    ballots = population.complete
    mean = embed(individual, ballots, shown=shown)[0] if z is None else z
    scored = np.asarray(rewards(individual, mean))
    pair = individual.pairs.index(ballots.prompt[:, None], ballots.completion)
    value = scored[ballots.rater[:, None], pair]
    right = total = 0
    for i, j in combinations(range(ballots.n_places), 2):
        ask = wanted[:, i] & wanted[:, j]
        right += ((value[:, i] > value[:, j]) & ask).sum()  # places are sorted best first
        total += ask.sum()
    return right / max(total, 1)


def mask_figures(population, config, seed):
    """What a mask learns and what it does not."""
    ballots, rng = population.ballots, np.random.default_rng(seed)
    run = RunConfig(seed=seed, individual=config, members=1, voters=4_000)
    learned = learn(ballots, run)
    whole, half = ballots.mask, (rng.random(ballots.mask.shape) < 0.5) & ballots.mask
    one_ballot = ballots.mask & (ballots.prompt == 0)[:, None]
    individual = learned.individual
    yield "visible pairs in order, all shown", pair_accuracy(individual, population, whole, whole)
    yield "hidden pairs in order, half shown", pair_accuracy(individual, population, half, whole & ~half)
    other = whole & ~one_ballot
    yield (
        "pairs of the other prompt in order, one ballot shown",
        pair_accuracy(individual, population, one_ballot, other),
    )
    yield "KL, nats", individual.history[-1]["kl"]
    mean = learned.mean
    yield (
        "types: silhouette of samples",
        separation(mean + learned.sigma[:, None] * rng.standard_normal(mean.shape), population.type_of)[
            "silhouette"
        ],
    )
    for prompt, ranks in profiles_of(learned, learned.voters, ballots, seed):
        truth = list(population.orders.values())[prompt]
        shares = np.array([(ranks == np.asarray(order)).all(axis=1).mean() for order in truth])
        yield (
            f"total variation, prompt {prompt}",
            0.5 * (np.abs(shares - population.shares).sum() + 1 - shares.sum()),
        )


def masks(seed):
    """The curriculum and the four masks that the post found to fail."""
    population = population_of(populations.tennessee, seed)
    base = IndividualConfig()
    for name, masking in {"curriculum": base.masking, **FAILING}.items():
        for figure, value in mask_figures(population, replace(base, masking=masking), seed):
            yield "tennessee", name, figure, value


def sizes(seed):
    """Does anybody have to tune the latent's size?"""
    population, base = population_of(populations.tennessee, seed), IndividualConfig()
    for latent in (2, 4, 8, 16, 64):
        for name in ("curriculum", "full visibility", "hidden targets only", "all targets from the start"):
            config = replace(
                base,
                masking={"curriculum": base.masking, **FAILING}[name],
                architecture=replace(base.architecture, latent=latent),
            )
            for figure, value in mask_figures(population, config, seed):
                yield "tennessee", f"{name}, latent {latent}", figure, value
