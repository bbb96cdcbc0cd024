"""Every rule against pref_voting on random profiles; writes benchmarks/results/aggregation_crosscheck.csv.

    python benchmarks/reproduce_aggregation.py [profiles per rule, default 2000] [seed, default 0]

Profiles have 2 to 7 candidates (banks and slater 2 to 6: pref_voting enumerates) and 1 to 60 voters, odd and even; one in
ten rotates one order, so that outcomes tie. Compared are winner sets, for kemeny and slater every candidate's best place (to
5 candidates), for lotteries maximality, and the probabilities where they are unique (all margins odd). Rules that
pref_voting applies to ballots with ties are compared on such ballots too, and rules of rewards on random rewards. A run that was
stopped goes on where it was.
"""

import csv
import math
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from socialrm.aggregation import aggregate, aggregate_rewards, margins


def methods():
    """Name here -> function of a pref_voting profile that returns winners, or probabilities for lotteries."""
    from pref_voting import (
        c1_methods,
        combined_methods,
        iterative_methods,
        margin_based_methods,
        other_methods,
        probabilistic_methods,
        scoring_methods,
    )

    def winning_votes(profile):
        scores = margin_based_methods.minimax_scores(profile, score_method="winning")
        return [c for c, s in scores.items() if s == max(scores.values())]

    return {
        "plurality": scoring_methods.plurality,
        "antiplurality": scoring_methods.anti_plurality,
        "k_approval": lambda p: scoring_methods.scoring_rule(p, score=lambda m, place: int(place <= 2)),
        # its own dowdall adds floating-point fractions, so 1/2 + 1/3 + 1/6 need not tie with 1
        "dowdall": lambda p: scoring_methods.scoring_rule(p, score=lambda m, place: Fraction(1, place)),
        "borda": scoring_methods.borda,
        "condorcet": c1_methods.condorcet,
        "copeland": c1_methods.copeland,
        "llull": c1_methods.llull,
        "minimax": margin_based_methods.minimax,
        "minimax_winning_votes": winning_votes,
        "black": combined_methods.blacks,
        "top_cycle": c1_methods.top_cycle,
        "uncovered_set": c1_methods.uc_gill,
        "schulze": margin_based_methods.beat_path,
        "split_cycle": margin_based_methods.split_cycle,
        "ranked_pairs": margin_based_methods.ranked_pairs,
        "river": margin_based_methods.river,
        "stable_voting": margin_based_methods.stable_voting,
        "kemeny": other_methods.kemeny_young,
        "slater": c1_methods.slater,
        "banks": c1_methods.banks,
        "irv": iterative_methods.instant_runoff,
        "coombs": iterative_methods.coombs,
        "baldwin": iterative_methods.baldwin,
        "nanson": iterative_methods.strict_nanson,
        "bucklin": other_methods.bucklin,
        "plurality_veto": iterative_methods.plurality_veto,
        "random_dictator": probabilistic_methods.random_dictator,
        "proportional_borda": probabilistic_methods.pr_borda,
        "maximal_lottery": probabilistic_methods.maximal_lottery,
        "c1_maximal_lottery": lambda p: probabilistic_methods.c1_maximal_lottery(p, algorithm="lp"),
    }


TIED_PAIRS = ("ranked_pairs", "river")  # pref_voting goes through every order of tied pairs
ENUMERATED = ("banks", "slater")
LOTTERIES = ("random_dictator", "proportional_borda", "maximal_lottery", "c1_maximal_lottery")


def tie_orders(M):
    """How many orders of tied majorities pref_voting's ranked pairs would go through."""
    if ((M > 0).sum(1) == len(M) - 1).any():
        return 1
    values, counts = np.unique(M[(M >= 0) & ~np.eye(len(M), dtype=bool)], return_counts=True)
    return math.prod(math.factorial(int(c)) for c in counts)


def ballots(rng, rule):
    """One random strict profile, voters x candidates in order of preference."""
    while True:
        m = int(rng.integers(2, 7 if rule in ENUMERATED else 8))
        n = int(rng.choice([rng.integers(1, 12), rng.integers(12, 61)]))
        if rng.random() < 0.1:  # rotations of one order, each as often: ties all around
            order, times = rng.permutation(m), int(rng.integers(1, 4))
            rows = np.concatenate([np.roll(order, k)[None] for k in range(m)] * times)
        else:
            rows = rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
        if rule not in TIED_PAIRS or tie_orders(margins(np.argsort(rows, axis=1))) <= 720:
            return rows


def agree(rule, theirs, rows):
    """Whether both give the same outcome for one profile."""
    from pref_voting.profiles import Profile

    ranks = np.argsort(rows, axis=1)
    profile, mine = Profile(rows.tolist()), aggregate(ranks, rule)
    if rule not in LOTTERIES:
        return sorted(np.flatnonzero(mine.winners).tolist()) == sorted(int(c) for c in theirs(profile))
    other = theirs(profile)
    other, m = np.array([other[c] for c in range(rows.shape[1])]), margins(ranks)
    if "maximal" in rule:
        m = np.sign(m) if rule.startswith("c1") else m
        if (mine.scores @ m).min() < -1e-7 or (other @ m).min() < -1e-6 * max(1, np.abs(m).max()):
            return False
        if len(rows) % 2 == 0:
            return True
    return bool(np.allclose(mine.scores, other, atol=1e-7))


WEAK = (  # rules that pref_voting applies to ballots with ties
    "borda condorcet copeland llull minimax minimax_winning_votes top_cycle uncovered_set schulze split_cycle "
    "ranked_pairs river stable_voting slater banks irv maximal_lottery"
).split()


def agree_weak(rule, theirs, ranks):
    """Whether winners agree for one profile of ballots with ties."""
    from pref_voting import iterative_methods, scoring_methods
    from pref_voting.profiles_with_ties import ProfileWithTies

    profile = ProfileWithTies(
        [dict(enumerate(map(int, row))) for row in ranks], candidates=range(ranks.shape[1])
    )
    mine = aggregate(ranks, rule)
    if rule == "irv":
        other = iterative_methods.split_irv(profile)
    elif rule == "borda":
        scores = scoring_methods.symmetric_borda_scores(profile)
        other = [c for c, score in scores.items() if score == max(scores.values())]
    elif rule == "maximal_lottery":
        return bool((mine.scores @ margins(ranks)).min() > -1e-9)
    else:
        other = theirs(profile)
    return sorted(np.flatnonzero(mine.winners).tolist()) == sorted(int(c) for c in other)


def compare_weak(rule, n, seed):
    """Profiles of ballots with ties compared, with a tie among winners, and differing."""
    theirs, rng = methods()[rule], np.random.default_rng([seed, 1, sum(map(ord, rule))])
    tied = differing = 0
    for _ in range(n):
        while True:
            m = int(rng.integers(2, 7 if rule in ENUMERATED else 8))
            ranks = rng.integers(0, m, (int(rng.integers(1, 61)), m))
            if rule not in TIED_PAIRS or tie_orders(margins(ranks)) <= 720:
                break
        tied += aggregate(ranks, rule).winners.sum() > 1
        differing += not agree_weak(rule, theirs, ranks)
    return dict(rule=f"{rule} (weak ballots)", profiles=n, tied=int(tied), differing=differing)


def best_places(rankings, m):
    return [min(list(r).index(c) for r in rankings) for c in range(m)]


def agree_in_places(rule, rows):
    """Kemeny and Slater: each candidate's best place in the optimal rankings that pref_voting lists."""
    from pref_voting.c1_methods import slater_rankings
    from pref_voting.other_methods import kemeny_young_rankings
    from pref_voting.profiles import Profile

    rankings, _ = (kemeny_young_rankings if rule == "kemeny" else slater_rankings)(Profile(rows.tolist()))
    return aggregate(np.argsort(rows, axis=1), rule).ranks.tolist() == best_places(rankings, rows.shape[1])


def compare(rule, n, seed):
    """Profiles compared, with a tie among winners, and differing."""
    theirs, rng = methods()[rule], np.random.default_rng([seed, sum(map(ord, rule))])
    tied = differing = 0
    for _ in range(n):
        rows = ballots(rng, rule)
        same = agree(rule, theirs, rows)
        if rule in ("kemeny", "slater") and rows.shape[1] < 6:
            same = same and agree_in_places(rule, rows)
        tied += aggregate(np.argsort(rows, axis=1), rule).winners.sum() > 1
        differing += not same
    return dict(rule=rule, profiles=n, tied=int(tied), differing=differing)


CARDINAL = {  # name here -> name in pref_voting.utility_methods; its rewards are compared as they are
    "utilitarian": "sum_utilitarian",
    "relative_utilitarian": "relative_utilitarian",
    "egalitarian": "maximin",
    "leximin": "lexicographic_maximin",
}


def compare_rewards(rule, n, seed):
    """Winners of random rewards from 0 to 4, tied as often as that makes them, without normalising."""
    from pref_voting import utility_methods
    from pref_voting.utility_profiles import UtilityProfile

    theirs, rng = getattr(utility_methods, CARDINAL[rule]), np.random.default_rng([seed, 2])
    tied = differing = 0
    for _ in range(n):
        m, voters = int(rng.integers(2, 8)), int(rng.integers(1, 31))
        rewards = rng.integers(0, 5, (voters, m)).astype(float)
        if (
            rule == "relative_utilitarian"
        ):  # theirs divides by each voter's range and adds up in floating point:
            rewards = 2 * (rewards // 2)  # ranges of 2 or 4 keep that exact, and its ties ties
            rewards = rewards[np.ptp(rewards, axis=1) > 0]
            if not len(rewards):
                rewards = np.array([np.arange(m) == 0], float)
        mine = aggregate_rewards(rewards, rule, normalise="none")
        other = theirs(UtilityProfile([dict(enumerate(map(float, row))) for row in rewards]))
        tied += mine.winners.sum() > 1
        differing += np.flatnonzero(mine.winners).tolist() != sorted(int(c) for c in other)
    return dict(rule=f"{rule} (rewards)", profiles=n, tied=int(tied), differing=differing)


def finished(path, command):
    """Rows of the same command that an earlier, stopped run has left."""
    if not path.exists() or not path.read_text().startswith(command):
        return []
    return list(csv.DictReader(path.read_text().splitlines()[1:]))


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    path = Path(__file__).parent / "results" / "aggregation_crosscheck.csv"
    path.parent.mkdir(exist_ok=True)
    part, command = path.with_suffix(".part"), f"# python benchmarks/reproduce_aggregation.py {n} {seed}\n"
    rows, found = [], {row["rule"]: row for row in finished(part, command)}
    checks = [(compare, rule, rule) for rule in methods()]
    checks += [(compare_weak, rule, f"{rule} (weak ballots)") for rule in WEAK]
    checks += [(compare_rewards, rule, f"{rule} (rewards)") for rule in CARDINAL]
    for check, rule, name in checks:
        start = time.perf_counter()
        rows.append(found.get(name) or check(rule, n, seed))
        print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
        with part.open("w", newline="") as file:
            file.write(command)
            writer = csv.DictWriter(file, ["rule", "profiles", "tied", "differing"])
            writer.writeheader()
            writer.writerows(rows)
    part.replace(path)


if __name__ == "__main__":
    main()
