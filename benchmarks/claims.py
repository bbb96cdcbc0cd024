"""The post's claims, put to the test: `python benchmarks/claims.py [CLAIM ...] [--seeds 0-4] [--minutes 60]`.

Every figure is a row of `benchmarks/results/claims.csv` (claim, data, method, seed, figure, value); a claim and seed already there is not
measured again, so a stopped run goes on where it was. `--again` measures everything anew, into `claims.new.csv`, which takes the place of the
stored rows when it is complete. `--readme` writes the summary in `benchmarks/README.md` from `benchmarks/marks.csv` and what is stored, and
measures nothing. `nbs/experiments/` draws and judges what is stored. Seeds draw the population (keys of their own, 50,000 + seed), the masks
and everything that a method draws; nothing was tuned on them.
"""

import argparse
import csv
import time
from pathlib import Path

import claims_latent
import claims_missing
import claims_rules

from socialrm.evidence import marks_table, read_marks, read_results

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "claims.csv"
NEW = RESULTS.with_name("claims.new.csv")
COLUMNS = ("claim", "data", "method", "seed", "figure", "value")
CLAIMS = {
    claim.__name__: (claim, seeds)
    for claim, seeds in (
        (claims_latent.diagnostics, 5),
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
        (claims_latent.masks_places, 3),
        (claims_latent.masks_noisy, 3),
        (claims_latent.sizes, 3),
        (claims_missing.efficiency, 3),
        (claims_missing.selection, 1),
    )
}


def stored(path):
    """Rows of a file of results."""
    if not path.exists():
        path.write_text(",".join(COLUMNS) + "\n")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def append(path, rows):
    """Rows at the end of a file of results."""
    with path.open("a", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)


def measure(name, seed, case, path):
    """One claim at one seed, or one case of it, as rows."""
    claim, start = CLAIMS[name][0], time.monotonic()
    given = (seed,) if case is None else (seed, case)
    rows = [
        (name, data, method, seed, figure, f"{float(value):.6g}")
        for data, method, figure, value in claim(*given)
    ]
    append(path, rows)
    seconds = time.monotonic() - start
    print(f"{name} {seed} {case or ''}: {len(rows)} figures, {seconds:.0f} s", flush=True)


def replace_stored():
    """New rows take the place of the stored ones of the same claim and seed."""
    new = stored(NEW)
    again = {(row["claim"], row["seed"]) for row in new}
    kept = [row for row in stored(RESULTS) if (row["claim"], row["seed"]) not in again]
    RESULTS.unlink()
    stored(RESULTS)
    append(RESULTS, [tuple(row[column] for column in COLUMNS) for row in kept + new])
    NEW.unlink()


def readme():
    """The summary between the two comments of `benchmarks/README.md`."""
    marks, page = read_marks(HERE), HERE / "README.md"
    files = {mark.file: read_results(mark.file, HERE) for mark in marks}
    verdicts = [mark.verdict(files[mark.file]) for mark in marks]
    lines = ["| topic | claims | held | in part | did not |", "|---|---|---|---|---|"]
    for topic in dict.fromkeys(mark.topic for mark in marks):
        some = [v for mark, v in zip(marks, verdicts) if mark.topic == topic]
        held, never = sum(v.held == v.seeds for v in some), sum(v.held == 0 for v in some)
        lines.append(f"| {topic} | {len(some)} | {held} | {len(some) - held - never} | {never} |")
    short = [mark for mark, v in zip(marks, verdicts) if v.held < v.seeds]
    lines += ["", "What did not hold at every seed:", "", marks_table(short, HERE)]
    begin, end = "<!-- claims: begin -->", "<!-- claims: end -->"
    before, rest = page.read_text().split(begin)
    page.write_text("\n".join((before + begin, *lines, end)) + rest.split(end)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("claims", nargs="*", choices=[[], *CLAIMS], default=[])
    parser.add_argument("--seeds", help="first-last, both counted; default: each claim's own")
    parser.add_argument("--only", default="", help="of claims that come in cases: those whose name has this")
    parser.add_argument("--minutes", type=float, default=6_000.0, help="begin nothing after so long")
    parser.add_argument("--again", action="store_true", help="measure anew what is stored")
    parser.add_argument("--readme", action="store_true", help="write the summary, measure nothing")
    asked = parser.parse_args()
    if asked.readme:
        return readme()
    path = NEW if asked.again else RESULTS
    until, done = time.monotonic() + 60 * asked.minutes, set()
    for row in stored(path):
        done |= {(row["claim"], row["seed"], case) for case in (row["data"], row["method"], None)}
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
