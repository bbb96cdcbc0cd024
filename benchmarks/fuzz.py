"""Ten thousand broken and hostile inputs: only documented errors, no hang, no silent loss, bounded memory.

    python benchmarks/fuzz.py                 # 10,000 inputs to readers, 50 of them go through a whole run
    python benchmarks/fuzz.py --inputs 300 --runs 0

Small files of every format (and real ones, where the data folder has them) are cut, doubled, flipped, spliced and filled with
hostile cells, then given to every reader. Allowed: a value, `ValueError` or `OSError` with a message. Where a table of ranks or
scores is read, places kept plus what the report says was left out must add up. Writes benchmarks/results/fuzz.csv.
"""

import argparse
import collections
import csv
import json
import os
import random
import resource
import signal
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

LIMIT = 20  # seconds an input may take
HOSTILE = [
    "",
    "nan",
    "inf",
    "-1",
    "1e999",
    "=1+1",
    "<script>",
    "../../x",
    "\x00",
    "é" * 50,
    "9" * 400,
    '"',
    "{",
    "null",
    "[]",
    "\ufeff",
]
ROWS = [
    ("r1", "p", "a", 1),
    ("r1", "p", "b", 2),
    ("r2", "p", "b", 1),
    ("r2", "p", "a", 2),
    ("r2", "p", "c", 2),
    ("r3", "q", "a", 1),
    ("r3", "q", "c", 3),
]


def originals(folder):
    """Bytes by name; one good file of each format."""
    from made_run import make_run

    table = "rater,prompt,completion,rank\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)
    lines = [dict(zip(("rater", "prompt", "completion", "score"), row)) for row in ROWS]
    found = {
        "ranks.csv": table.encode(),
        "ranks.tsv": table.replace(",", "\t").encode(),
        "pairs.csv": b"rater,prompt,chosen,rejected\nr1,p,a,b\nr2,p,b,c\nr2,p,c,a\n",
        "scores.jsonl": "".join(json.dumps(row) + "\n" for row in lines).encode(),
        "profile.soc": b"# FILE NAME: x.soc\n# NUMBER ALTERNATIVES: 3\n# NUMBER VOTERS: 3\n# NUMBER UNIQUE ORDERS: 2\n# ALTERNATIVE NAME 1: a\n# ALTERNATIVE NAME 2: b\n# ALTERNATIVE NAME 3: c\n2: 1,2,3\n1: 3,2,1\n",
        "shares.csv": b"group,share\nnorth,0.4\nsouth,0.6\n",
        "score.csv": b"prompt,completion\np,a\np,b\n",
        "contests.jsonl": b'{"prompt": "p", "completions": ["a", "b"]}\n',
    }
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("rater", "prompt", "completion", "score")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*ROWS))))), folder / "scores.parquet")
    found["scores.parquet"] = (folder / "scores.parquet").read_bytes()
    data = os.environ.get("SOCIALRM_DATA_DIR")
    for path in sorted(Path(data).glob("preflib/*/*.so[ic]")) if data else ():
        if path.stat().st_size < 20_000:
            found[path.name] = path.read_bytes()
    run = make_run(folder / "run", {"p": ["a", "b", "c"]})
    for name in (
        "config.json",
        "metrics.json",
        "social_orders.csv",
        "voters.npz",
        "rule_impact.csv",
        "metrics.jsonl",
    ):
        found[f"run/{name}"] = (run / name).read_bytes()
    return found


def mutate(data, rng, others):
    """One change, or a few."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        kind = rng.randrange(8)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + data[to:]
        elif kind == 2:
            data = data[:to] + data[at:to] * rng.randint(1, 20) + data[to:]
        elif kind == 3 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 4:
            other = rng.choice(others)
            data = data[:at] + other[rng.randrange(len(other) + 1) :]
        elif kind == 5:
            data = data[:at] + rng.choice(HOSTILE).encode() + data[at:]
        else:  # a cell or a line
            for mark in (b",", b"\t", b'"', b"\n"):
                cells = data.split(mark)
                if len(cells) > 1 and rng.random() < 0.6:
                    cells[rng.randrange(len(cells))] = rng.choice(
                        [*(h.encode() for h in HOSTILE), rng.choice(cells)]
                    )
                    data = mark.join(cells)
                    break
    return data[:200_000]


def readers():
    from socialrm.findings import read_folder
    from socialrm.groups import read_shares
    from socialrm.importers import load_any
    from socialrm.new_contests import read_contests
    from socialrm.rows import read_rows

    tables = {n: load_any for n in ("csv", "tsv", "jsonl", "soc", "soi", "parquet")}
    return (
        tables,
        {"shares.csv": read_shares, "score.csv": read_rows, "contests.jsonl": read_contests},
        read_folder,
    )


def silent_loss(ballots, report):
    "Places that a table had, and that nobody accounts for."
    if report is None or report.layout not in ("ranks", "scores") or report.left_out:
        return False
    return int(ballots.mask.sum()) != report.rows


def tried(call):
    """What came of it, within the limit."""

    def late(*_):
        raise TimeoutError("hang")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return "read", call()
    except TimeoutError:
        return "HANG", None
    except (ValueError, OSError) as error:
        return ("error" if str(error) else "SILENT ERROR"), None
    except Exception as error:
        return f"UNDOCUMENTED {type(error).__name__}: {' '.join(str(error).split())[:100]}", None
    finally:
        signal.alarm(0)


def small_run(ballots, folder):
    from kill_resume import small

    from socialrm.pipeline import run
    from socialrm.runs import load

    run(ballots, small(), out=folder)
    v = ballots.vocabulary
    assert np.isfinite(load(folder).score([v.prompts[0]] * len(v.completions), v.completions)).all()


def examine(inputs, runs, seed):
    """What came of each input: counts by reader and outcome, the bad ones, where they lie, and the largest memory in MB."""
    from socialrm.aggregation import aggregate_ballots

    here, rng = Path(tempfile.mkdtemp()), random.Random(seed)
    good, (tables, single, read_folder) = originals(here), readers()
    names, others, counts, bad, good_ballots = list(good), list(good.values()), collections.Counter(), [], []
    for i in range(inputs):
        name = names[i % len(names)]
        data = mutate(good[name], rng, others)
        path = here / name
        path.write_bytes(data)
        kind = name.split("/")[0] if "/" in name else name if name in single else Path(name).suffix[1:]
        reader = read_folder if "/" in name else single.get(name) or tables[name.split(".")[-1]]
        what, value = tried(partial(reader, here / "run" if "/" in name else path))
        if what == "read" and reader in tables.values():
            if silent_loss(*value):
                what = "SILENT LOSS"
            elif len(good_ballots) < max(runs, 200) and value[0].n_ballots < 60:
                good_ballots.append(value[0])
        counts[kind, what] += 1
        if what.isupper() or what.split()[0].isupper():
            bad.append((name, what))
            (here / f"bad{len(bad)}-{Path(name).name}").write_bytes(data)
        path.write_bytes(good[name])
    for ballots in good_ballots[:200]:
        counts["aggregate", tried(partial(aggregate_ballots, ballots, "borda"))[0]] += 1
    for i, ballots in enumerate(good_ballots[:runs]):
        what = tried(partial(small_run, ballots, here / f"whole{i}"))[0] if ballots.n_ballots else "error"
        counts["run and score", what] += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return counts, bad, here, memory


def main(inputs, runs, seed):
    """Examine, print, store."""
    counts, bad, here, memory = examine(inputs, runs, seed)
    with (Path(__file__).parent / "results" / "fuzz.csv").open("w", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["reader", "outcome", "inputs", "seed"])
        table.writerows([*key, n, seed] for key, n in sorted(counts.items()))
        table.writerow(["all", "largest memory, MB", memory, seed])
    print(*sorted(counts.items()), f"memory {memory} MB; bad inputs in {here}: {len(bad)}", sep="\n")
    return bad


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=10_000)
    options.add_argument("--runs", type=int, default=50)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    LIMIT = 120 if asked.runs else LIMIT
    sys.exit(1 if main(asked.inputs, asked.runs, asked.seed) else 0)
