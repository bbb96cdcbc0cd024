"""Claims about the latent space: the appendix's diagnostics, the masks that fail, and the latent's size."""

from dataclasses import replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from reproduce import margins, profiles_of

from socialrm import populations
from socialrm.datasets import load
from socialrm.density import fit_density
from socialrm.diagnostics import dealt_out, latent_health, separation
from socialrm.draws import completed_ballot
from socialrm.electorates import observations
from socialrm.individual import IndividualConfig, Pairs, embed, rewards, train_individual
from socialrm.learning import RunConfig, learn
from socialrm.masking import FAILING, Masking

KEY = 50_000
FULL = replace(IndividualConfig(), simple=3_000)  # the default trains simple data less


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


def repeated(ballots, times):
    """The same raters and ballots, so many times over."""
    many = lambda x: np.tile(x, (times,) + (1,) * (x.ndim - 1))
    columns = {
        name: many(getattr(ballots, name)) for name in ("completion", "rank", "prompt", "weight", "group")
    }
    rater = np.arange(times)[:, None] * ballots.n_raters + ballots.rater
    return replace(ballots, rater=rater.ravel(), **columns)


def order_gap(decoded, weight, truth, compatible, shares):
    """Total variation between weighted ranks and the Bayes posterior over compatible types."""
    held = np.array([weight @ (decoded == np.asarray(order)).all(axis=1) for order in truth]) / weight.sum()
    bayes = np.where(compatible, shares, 0.0)
    bayes = bayes / bayes.sum()
    return 0.5 * (np.abs(held - bayes).sum() + 1 - held.sum())


def surprise(scored, pair, ballots, mask):
    """Log likelihood (Plackett-Luce) of what is shown of each rater's ballots under each voter's rewards."""
    total = np.zeros((ballots.n_raters, len(scored)))
    for row in range(ballots.n_ballots):  # places are sorted best first
        seen = scored[:, pair[row][mask[row]]]
        if seen.shape[1] > 1:
            left = np.logaddexp.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
            total[ballots.rater[row]] += (seen - left).sum(axis=1)
    return total


@jax.jit
@jax.vmap
def _completed(reward, said, key):
    """One completed ballot of each."""
    return completed_ballot(reward, jnp.ones(len(reward), bool), said, key=key)


def partial_figures(individual, population, centre, density, rng, draws=200):
    """How ballots with places hidden are placed, and three ways to decode them, against Bayes."""
    each, shown, compatible = partial_ballots(population)
    truth, size, types = list(population.orders.values())[0], each.n_places, len(centre)
    pair = individual.pairs.index(each.prompt[:, None], each.completion)
    simulated = density.sample(4_000, rng=rng)[0]
    scored = np.asarray(rewards(individual, simulated), np.float64)
    ranks, table = orders_of(individual, simulated, 0, size), each.contests()
    seen = np.array([observations(each.keep(m), 0, table.completion[0])[0] for m in shown])
    mean, sigma = embed(individual, repeated(each, len(shown)), shown=shown.reshape(-1, size))
    means, sigmas = mean.reshape(len(shown), types, -1), sigma.reshape(len(shown), types)
    z = means[:, :, None] + sigmas[:, :, None, None] * rng.standard_normal(
        (len(shown), types, draws, means.shape[-1])
    )
    z = z.reshape(-1, z.shape[-1])
    asked = Pairs(np.full(size, 0), np.arange(size), individual.pairs.vocabulary)
    filled = _completed(
        rewards(individual, z, asked),
        np.repeat(seen.reshape(-1, size), draws, axis=0),
        jax.random.split(jax.random.key(int(rng.integers(2**31))), len(z)),
    )
    decoded = orders_of(individual, z, 0, size).reshape(len(shown), types, draws, size)
    filled = np.asarray(filled).reshape(len(shown), types, draws, size)
    even, found = np.ones(draws), {}
    for number, (mask, same) in enumerate(zip(shown, compatible)):
        likely = surprise(scored, pair, each, mask)
        nearest = np.linalg.norm(means[number][:, None] - centre, axis=-1).argmin(axis=1)
        for t in range(types):
            kind = "one type compatible" if same[t].sum() == 1 else "several compatible"
            found.setdefault((kind, "share nearest"), []).append(same[t, nearest[t]])
            for figure, orders, weight in (
                ("rater's representation", decoded[number, t], even),
                ("completed ballot", filled[number, t], even),
                ("voters weighted by likelihood", ranks, np.exp(likely[t] - likely[t].max())),
            ):
                gap = order_gap(orders, weight, truth, same[t], population.shares)
                found.setdefault((kind, figure), []).append(gap)
    one, several = "partial, one type compatible", "partial, several compatible"
    for (kind, figure), values in found.items():
        if figure == "share nearest":
            name = (
                f"{one}: share nearest to it" if "one" in kind else f"{several}: share nearest to one of them"
            )
            yield name, np.mean(values)
        elif figure == "rater's representation":
            yield f"partial, {kind}: total variation to the posterior", np.mean(values)
        else:
            yield f"partial, {kind}: total variation to the posterior, {figure}", np.mean(values)


def interpolation_figures(individual, centre):
    """Rewards on the way from one type to another."""
    way, bend = np.linspace(0, 1, 41)[:, None], []
    monotone, turns = {True: [], False: []}, {True: [], False: []}
    for i, j in combinations(range(len(centre)), 2):
        scored = np.asarray(rewards(individual, centre[i] + way * (centre[j] - centre[i])), np.float64)
        for prompt in np.unique(individual.pairs.prompt):
            on = scored[:, individual.pairs.prompt == prompt]
            for a, b in combinations(range(on.shape[1]), 2):
                gap, scale = on[:, a] - on[:, b], np.ptp(on)
                steps, differ = np.diff(gap), bool(gap[0] * gap[-1] < 0)
                rises, falls = (steps >= -1e-3 * scale).all(), (steps <= 1e-3 * scale).all()
                monotone[differ].append(rises or falls)
                turns[differ].append((np.diff(np.sign(gap)) != 0).sum() == differ)
                bend.append(np.abs(np.diff(gap, 2)).max() / scale)
    yield "interpolation: share of reward differences that are monotone", np.mean(sum(monotone.values(), []))
    yield "interpolation: monotone, pairs that the two types order differently", np.mean(monotone[True])
    yield "interpolation: monotone, pairs that they order alike", np.mean(monotone[False])
    yield "interpolation: turned round exactly once, pairs ordered differently", np.mean(turns[True])
    yield "interpolation: never turned round, pairs ordered alike", np.mean(turns[False])
    yield "interpolation: largest second difference over the range", np.max(bend)


def context_figures(individual, ballots, kind):
    """The same raters through one half of the prompts and through the other."""
    prompts = np.unique(ballots.prompt)
    first = np.isin(ballots.prompt, prompts[: len(prompts) // 2])[:, None]
    views = [embed(individual, ballots, shown=ballots.mask & part)[0] for part in (first, ~first)]
    both = separation(np.concatenate(views), np.tile(kind, 2))
    yield "contexts: between_over_within", both["between_over_within"]
    yield "contexts: centroid_accuracy", both["centroid_accuracy"]
    centre = np.stack([np.concatenate([v[kind == t] for v in views]).mean(axis=0) for t in np.unique(kind)])
    apart = np.linalg.norm(centre[:, None] - centre, axis=-1)[np.triu_indices(len(centre), 1)].mean()
    moved = np.linalg.norm(views[0] - views[1], axis=1).mean()
    yield "contexts: between types over a rater's move from one prompt to the other", apart / moved
    telling = np.linalg.svd(centre - centre.mean(axis=0))[2][: len(centre) - 1]  # what types differ in
    along = separation(np.concatenate(views) @ telling.T, np.tile(kind, 2))["between_over_within"]
    yield "contexts: between_over_within, along what types differ in", along


def diagnostics(seed, config=FULL):
    """The appendix's four figures as numbers, on Tennessee, trained to the end."""
    population, rng = population_of(populations.tennessee, seed), np.random.default_rng(seed)
    ballots, kind = population.ballots, population.type_of
    individual = train_individual(ballots, config, key=jax.random.key(seed))
    mean, sigma = embed(individual, ballots)
    z = mean + sigma[:, None] * rng.standard_normal(mean.shape)
    for name, value in separation(z, kind).items():
        yield "tennessee", "curriculum", f"types: {name}", value
    for figure, value in context_figures(individual, ballots, kind):
        yield "tennessee", "curriculum", figure, value
    centre = np.stack([mean[kind == t].mean(axis=0) for t in range(len(population.types))])
    density, _ = fit_density(mean, sigma, ballots.weight, rng=rng)
    for figure, value in partial_figures(individual, population, centre, density, rng):
        yield "tennessee", "curriculum", figure, value
    for figure, value in interpolation_figures(individual, centre):
        yield "tennessee", "curriculum", figure, value


def diagnostics_default(seed):
    """The same as a run trains it."""
    yield from diagnostics(seed, IndividualConfig())


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


def mask_figures(population, config, seed, voters=True):
    """What a mask learns and what it does not."""
    ballots, rng = population.complete, np.random.default_rng(seed)
    run = RunConfig(seed=seed, individual=config, members=1, voters=4_000)
    learned = learn(ballots, run)
    whole, half = ballots.mask, (rng.random(ballots.mask.shape) < 0.5) & ballots.mask
    seen = (ballots.prompt <= ballots.prompt.max() // 2)[:, None]
    individual = learned.individual
    yield "visible pairs in order, all shown", pair_accuracy(individual, population, whole, whole)
    yield "hidden pairs in order, half shown", pair_accuracy(individual, population, half, whole & ~half)
    yield (
        "pairs of the other prompt in order, one ballot shown"
        if ballots.prompt.max() == 1
        else "pairs of the other prompts in order, half of the ballots shown",
        pair_accuracy(individual, population, whole & seen, whole & ~seen),
    )
    yield "KL, nats", individual.history[-1]["kl"]
    z = learned.mean + learned.sigma[:, None] * rng.standard_normal(learned.mean.shape)
    yield "types: silhouette of samples", separation(z, population.type_of)["silhouette"]
    for prompt, ranks in profiles_of(learned, learned.voters, ballots, seed) if voters else ():
        truth = list(population.orders.values())[prompt]
        shares = np.array([(ranks == np.asarray(order)).all(axis=1).mean() for order in truth])
        yield (
            f"total variation, prompt {prompt}",
            0.5 * (np.abs(shares - population.shares).sum() + 1 - shares.sum()),
        )
    if not voters:
        error = [
            np.abs(margins(ranks) - margins(ballots.profile(prompt))).mean()
            for prompt, ranks in profiles_of(learned, learned.voters, ballots, seed)
        ]
        yield "error of margins", np.mean(error)


MASKS = {"curriculum": Masking(), **FAILING}


def masks(seed):
    """The curriculum and the four masks that the post found to fail."""
    population = population_of(populations.tennessee, seed)
    for name, masking in MASKS.items():
        for figure, value in mask_figures(population, replace(FULL, masking=masking), seed):
            yield "tennessee", name, figure, value


def masks_noisy(seed, case):
    """The same on noisy types: four prompts of five completions, Mallows."""
    population = population_of(
        populations.mallows_mixture, seed, n=1_000, prompts=4, completions=5, centres_seed=seed + 60
    )
    config = replace(IndividualConfig(), masking=MASKS[case])
    for figure, value in mask_figures(population, config, seed, voters=False):
        yield "mallows", case, figure, value


def masks_places(seed, case):
    """Places alone are hidden, as the post has it, and never whole ballots."""
    population = population_of(populations.tennessee, seed)
    config = replace(FULL, masking=replace(MASKS[case], hidden_ballots=0.0))
    for figure, value in mask_figures(population, config, seed):
        yield "tennessee", case, figure, value


def sizes(seed, case):
    """Does anybody have to tune the latent's size? Latent 8 is in `masks`."""
    name, latent = case.split(", latent ")
    population = population_of(populations.tennessee, seed)
    architecture = replace(FULL.architecture, latent=int(latent))
    config = replace(FULL, masking=MASKS[name], architecture=architecture)
    for figure, value in mask_figures(population, config, seed):
        yield "tennessee", case, figure, value


def health(seed, case):
    """What a rater's own representation is worth on held-out raters, against another's, and against ballots dealt out anew among raters.

    They are dealt out where the representation is read, and once more where the model is trained.
    """
    ballots = HEALTH[case](seed)
    everything = ballots.mask
    for training in ("as they are", "dealt out"):
        taught = ballots
        if training == "dealt out":
            taught, _ = dealt_out(ballots, everything, rng=np.random.default_rng(seed))
        individual = train_individual(taught, key=jax.random.key(seed))
        found = latent_health(individual, ballots, rng=np.random.default_rng(seed))
        said = f"trained on ballots {training}"
        for figure in ("own", "swapped", "shuffled", "alone"):
            yield case, said, f"nats a hidden place, {figure}", getattr(found, figure)
        yield case, said, "swapped less own", found.swapped - found.own
        yield case, said, "shuffled less own", found.shuffled - found.own
        yield case, said, "silent", found.silent


HEALTH = {
    "tennessee": lambda seed: population_of(populations.tennessee, seed).ballots,
    "mallows": lambda seed: (
        (
            population_of(
                populations.mallows_mixture, seed, n=1_000, prompts=4, completions=5, centres_seed=seed + 60
            )
        ).ballots
    ),
    "breakfast": lambda seed: load("breakfast"),
    "mtbench": lambda seed: load("mtbench"),
    "ukpconvarg": lambda seed: load("ukpconvarg1"),
}
health.cases = tuple(HEALTH)
masks_noisy.cases = tuple(MASKS)
masks_places.cases = "curriculum", "all targets from the start"
sizes.cases = tuple(f"curriculum, latent {n}" for n in (2, 64, 4, 16)) + tuple(
    f"{name}, latent {n}" for n in (2, 64, 4, 16) for name in FAILING
)
