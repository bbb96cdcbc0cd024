"""The whole pipeline on UKPConvArg's 84,445 votes with MiniLM's vectors, reading the texts included; writes benchmarks/results/ukp_run.csv.

    python benchmarks/ukp_run.py [--kernel] [--readme]

Runs `socialrm run ukpconvarg1 --encoder sentence-transformers/all-MiniLM-L6-v2` in a process of its own, in an empty folder and with an empty
cache of embeddings and of compiled functions; `--kernel` adds that option. Rows: run, figure, value. Wall seconds are of the machine as it was: `load` is the mean
number of processes that wanted a core, before and after. `--readme` writes the table of benchmarks/README.md and computes nothing.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pages import write_table

RESULTS = Path(__file__).parent / "results" / "ukp_run.csv"
COMMAND = ["run", "ukpconvarg1", "--encoder", "sentence-transformers/all-MiniLM-L6-v2", "--device", "cpu"]


def measure(kernel: bool) -> list[tuple[str, float]]:
    """One run: what it took."""
    with tempfile.TemporaryDirectory() as scratch:
        out, cache = Path(scratch, "run"), Path(scratch, "cache")
        words = [*COMMAND, *(["--kernel"] if kernel else []), "--cache", str(cache), "--out", str(out)]
        code = "import sys; from socialrm.cli import main; sys.argv = ['socialrm', *sys.argv[1:]]; main()"
        before, start = os.getloadavg()[0], time.perf_counter()
        there = os.environ | {"SOCIALRM_COMPILED": "off"}
        subprocess.run([sys.executable, "-c", code, *words], check=True, env=there)
        wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        stages = json.loads((out / "timing.json").read_text())
        told = json.loads((out / "metrics.json").read_text())
        size = (out / "report.html").stat().st_size
    found = [("wall seconds", wall), ("processor seconds", used.ru_utime + used.ru_stime)]
    found += [("GB at the peak", used.ru_maxrss / 2**20), ("cores", os.cpu_count())]
    found += [("load before", before), ("load after", os.getloadavg()[0]), ("MB of report", size / 1e6)]
    found += [(f"wall seconds, {stage}", s) for stage, s in stages.items() if isinstance(s, int | float)]
    counts = {
        "raters": told["n_raters"],
        "ballots": told["n_ballots"],
        "latent silent": told["latent"]["silent"],
    }
    held = {k: told["held_out"][k] for k in ("individual", "social", "vanilla") if k in told["held_out"]}
    return found + [*counts.items(), *((f"held-out raters, {k}", v) for k, v in held.items())]


def write(run: str, found: list[tuple[str, float]]) -> None:
    """This run's rows in place of those it had."""
    rows = []
    if RESULTS.exists():
        with RESULTS.open() as file:
            rows = [row for row in csv.reader(file) if row[0] not in (run, "run")]
    rows += [[run, name, round(float(value), 3)] for name, value in found]
    with RESULTS.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("run", "figure", "value"), *rows])


def write_readme() -> None:
    """The table between its two marks."""
    with RESULTS.open() as file:
        rows = list(csv.reader(file))[1:]
    runs = list(dict.fromkeys(row[0] for row in rows))
    table = {(run, name): float(value) for run, name, value in rows}
    lines = ["| figure | " + " | ".join(runs) + " |", "|---" * (len(runs) + 1) + "|"]
    show = lambda value: "" if value is None else f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"
    for name in dict.fromkeys(row[1] for row in rows):
        lines.append(f"| {name} | " + " | ".join(show(table.get((run, name))) for run in runs) + " |")
    write_table("ukp run", lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", action="store_true", help="with a kernel for the social reward")
    parser.add_argument("--readme", action="store_true", help="write the table, compute nothing")
    asked = parser.parse_args()
    if asked.readme:
        write_readme()
    else:
        write("with --kernel" if asked.kernel else "as it is", measure(asked.kernel))
