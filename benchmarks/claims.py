"""The post's claims, put to the test: `python benchmarks/claims.py [CLAIM ...] [--seeds 0-4] [--minutes 60]`.

Every figure is a row of `benchmarks/results/claims.csv` (claim, data, method, seed, figure, value); a claim and seed already there is not
measured again, so a stopped run goes on where it was. `nbs/experiments/` draws and judges what is stored. Seeds draw the population
(keys of their own, 50,000 + seed), the masks and everything that a method draws; nothing was tuned on them.
"""

import argparse
import csv
import time
from pathlib import Path

import claims_latent
import claims_missing
import claims_rules

RESULTS = Path(__file__).parent / "results" / "claims.csv"
COLUMNS = ("claim", "data", "method", "seed", "figure", "value")
CLAIMS = {
    claim.__name__: (claim, seeds)
    for claim, seeds in (
        (claims_latent.diagnostics, 5),
        (claims_latent.masks, 5),
        (claims_missing.unseen, 10),
        (claims_rules.twins, 5),
        (claims_rules.vanilla, 10),
        (claims_missing.gap, 3),
        (claims_missing.types, 3),
        (claims_rules.strategic, 2),
        (claims_rules.voters, 3),
        (claims_missing.penalty, 2),
        (claims_missing.tails, 2),
        (claims_missing.efficiency, 1),
        (claims_rules.irrelevant, 2),
        (claims_rules.noisy, 2),
        (claims_missing.selection, 1),
        (claims_latent.sizes, 1),
    )
}


def stored():
    """Rows of the file."""
    if not RESULTS.exists():
        RESULTS.write_text(",".join(COLUMNS) + "\n")
    with RESULTS.open(newline="") as lines:
        return list(csv.DictReader(lines))


def measure(name, seed):
    """One claim at one seed, as rows."""
    claim, start = CLAIMS[name][0], time.monotonic()
    rows = [
        (name, data, method, seed, figure, f"{float(value):.6g}")
        for data, method, figure, value in claim(seed)
    ]
    with RESULTS.open("a", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)
    print(f"{name} {seed}: {len(rows)} figures, {time.monotonic() - start:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("claims", nargs="*", choices=[[], *CLAIMS], default=[])
    parser.add_argument("--seeds", help="first-last, both counted; default: each claim's own")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing after so long")
    asked = parser.parse_args()
    done, until = {(row["claim"], row["seed"]) for row in stored()}, time.monotonic() + 60 * asked.minutes
    for name in asked.claims or CLAIMS:
        first, last = map(int, asked.seeds.split("-")) if asked.seeds else (0, CLAIMS[name][1] - 1)
        for seed in range(first, last + 1):
            if (name, str(seed)) not in done and time.monotonic() < until:
                measure(name, seed)


if __name__ == "__main__":
    main()
