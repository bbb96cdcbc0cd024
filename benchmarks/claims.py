"""The post's claims, put to the test: `python benchmarks/claims.py [CLAIM ...] [--seeds 0-4] [--minutes 60]`.

Every figure is a row of `benchmarks/results/claims.csv` (claim, data, method, seed, figure, value); a claim and seed already there is not
measured again, so a stopped run goes on where it was. The last column is the digest of the default configuration that an individual model was
trained under (`configuration.py`); `--stale` measures what is of an older one. `--again` measures everything anew, into `claims.new.csv`, which
takes the place of the stored rows when it is complete. `--readme` writes the summary in `benchmarks/README.md` from `results/marks.csv` and what is stored, and
measures nothing. `nbs/experiments/` draws and judges what is stored. Seeds draw the population (keys of their own, 50,000 + seed), the masks
and everything that a method draws; nothing was tuned on them.
"""

import argparse
import csv
import hashlib
import time
from functools import wraps
from pathlib import Path

import claims_latent
import claims_missing
import claims_rules
import jax
import numpy as np
from configuration import UNLEARNED, configuration, exchange
from pages import write_table

from socialrm import individual, learning
from socialrm.evidence import marks_table, read_marks, read_results

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "claims.csv"
NEW = RESULTS.with_name("claims.new.csv")
COLUMNS = ("claim", "data", "method", "seed", "figure", "value", "configuration")
CLAIMS = {
    claim.__name__: (claim, seeds)
    for claim, seeds in (
        (claims_latent.diagnostics, 5),
        (claims_latent.diagnostics_default, 5),
        (claims_latent.masks, 5),
        (claims_missing.unseen, 10),
        (claims_rules.twins, 5),
        (claims_rules.vanilla, 5),
        (claims_missing.gap, 3),
        (claims_missing.types, 3),
        (claims_rules.voters, 3),
        (claims_missing.tails, 3),
        (claims_missing.tails_inverse, 3),
        (claims_rules.strategic, 3),
        (claims_rules.noisy, 3),
        (claims_rules.noisy_unseen, 3),
        (claims_rules.irrelevant, 3),
        (claims_missing.penalty, 3),
        (claims_missing.penalty_cells, 3),
        (claims_latent.masks_places, 3),
        (claims_latent.masks_noisy, 3),
        (claims_latent.sizes, 3),
        (claims_latent.health, 3),
        (claims_missing.efficiency, 3),
        (claims_missing.selection, 3),
    )
}


def once(train):
    """The same training: claims about one population ask for the same model, which is trained once in a process."""
    trained = {}

    @wraps(train)
    def remembered(ballots, config=None, *, key, **options):
        config = individual.IndividualConfig() if config is None else config
        asked = [str((ballots.vocabulary, config)), jax.random.key_data(key)]
        arrays = ballots.rater, ballots.prompt, ballots.completion, ballots.rank, ballots.weight
        digest = hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in (*arrays, asked[1])))
        digest.update(asked[0].encode())
        if digest.digest() not in trained:
            trained[digest.digest()] = train(ballots, config, key=key, **options)
        return trained[digest.digest()]

    return remembered


def stored(path):
    """Rows of a file of results."""
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def case_of(claim, row):
    """The cases of a claim that a row may belong to."""
    return claim.case_of(row) if hasattr(claim, "case_of") else (row["data"], row["method"], None)


def is_stale(row, today):
    """Learned under another configuration than today's."""
    return row["configuration"] not in ("", today)


def measure(name, seed, case, path):
    """One claim at one seed, or one case of it, as rows."""
    claim, start, today = CLAIMS[name][0], time.monotonic(), configuration()
    given = (seed,) if case is None else (seed, case)
    rows = [
        (name, data, method, seed, figure, f"{float(value):.6g}", "" if method in UNLEARNED else today)
        for data, method, figure, value in claim(*given)
    ]
    same = lambda row: (row["claim"], row["seed"]) == (name, str(seed)) and case in case_of(claim, row)
    exchange(path, COLUMNS, same, rows)
    seconds = time.monotonic() - start
    print(f"{name} {seed} {case or ''}: {len(rows)} figures, {seconds:.0f} s", flush=True)


def replace_stored():
    """New rows take the place of the stored ones of the same claim and seed."""
    new = stored(NEW)
    again = {(row["claim"], row["seed"]) for row in new}
    gone = lambda row: (row["claim"], row["seed"]) in again
    exchange(RESULTS, COLUMNS, gone, [tuple(row[column] for column in COLUMNS) for row in new])
    NEW.unlink()


def readme():
    """The summary between the two comments of `benchmarks/README.md`."""
    marks = read_marks(HERE)
    files = {mark.file: read_results(mark.file, HERE) for mark in marks}
    verdicts = [mark.verdict(files[mark.file]) for mark in marks]
    lines = ["| topic | claims | held | in part | did not |", "|---|---|---|---|---|"]
    for topic in dict.fromkeys(mark.topic for mark in marks):
        some = [v for mark, v in zip(marks, verdicts) if mark.topic == topic]
        held, never = sum(v.held == v.seeds for v in some), sum(v.held == 0 for v in some)
        lines.append(f"| {topic} | {len(some)} | {held} | {len(some) - held - never} | {never} |")
    today, rows = configuration(), [row for row in files[RESULTS.name].rows if row["configuration"]]
    fresh = sum(row["configuration"] == today for row in rows)
    lines += [
        "",
        f"{fresh:,} of {len(rows):,} stored figures that rest on an individual model are of today's default configuration",
    ]
    lines[-1] += (
        f" (`{today}` in `results/configurations.csv`); `python benchmarks/claims.py --stale` measures the others anew."
    )
    short = [mark for mark, v in zip(marks, verdicts) if v.held < v.seeds]
    lines += ["", "What did not hold at every seed:", "", marks_table(short, HERE)]
    write_table("claims", lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("claims", nargs="*", choices=[[], *CLAIMS], default=[])
    parser.add_argument("--seeds", help="first-last, both counted; default: each claim's own")
    parser.add_argument("--only", default="", help="of claims that come in cases: those whose name has this")
    parser.add_argument("--minutes", type=float, default=6_000.0, help="begin nothing after so long")
    parser.add_argument("--again", action="store_true", help="measure anew what is stored")
    parser.add_argument(
        "--stale", action="store_true", help="measure anew what an older configuration learned"
    )
    parser.add_argument("--readme", action="store_true", help="write the summary, measure nothing")
    asked = parser.parse_args()
    if asked.readme:
        return readme()
    for module in (learning, claims_latent, claims_missing):
        module.train_individual = once(individual.train_individual)
    path = NEW if asked.again else RESULTS
    until, today, done, old = time.monotonic() + 60 * asked.minutes, configuration(), set(), set()
    for row in stored(path):
        cases = case_of(CLAIMS[row["claim"]][0], row) if row["claim"] in CLAIMS else ()
        these = {(row["claim"], row["seed"], case) for case in cases}
        done |= these
        old |= these if asked.stale and is_stale(row, today) else set()
    done -= old
    for name in asked.claims or CLAIMS:
        claim, seeds = CLAIMS[name]
        first, last = map(int, asked.seeds.split("-")) if asked.seeds else (0, seeds - 1)
        for seed in range(first, last + 1):
            for case in getattr(claim, "cases", (None,)):
                if (name, str(seed), case) in done or asked.only not in (case or asked.only):
                    continue
                if time.monotonic() > until:
                    return
                measure(name, seed, case, path)
    if asked.again:
        replace_stored()


if __name__ == "__main__":
    main()
