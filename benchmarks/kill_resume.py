"""Runs killed with SIGKILL at random moments, gone on with, and compared with one that nobody disturbed.

    python benchmarks/kill_resume.py                     # 20 kills, 5 runs of 4 each, a small configuration
    python benchmarks/kill_resume.py --default --kills 4 # the default configuration through `socialrm run`
    python benchmarks/kill_resume.py --cost              # processor time spent on checkpoints in a default run

A kill is aimed at a moment of the run: after so many finished stages and checkpoints, and a random part of a second. Moments are spread
evenly over all that the undisturbed run leaves behind, so every stage gets its share. Writes benchmarks/results/kill_resume*.csv.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from short_run import FILES, short  # noqa: E402

RESULTS = Path(__file__).parent / "results"
COLUMNS = ("configuration", "seed", "run", "kill", "aimed_at", "of", "killed_in", "same_bytes")


def small():
    """Every stage there is, small: two members, a trial, checkpoints at every chunk."""
    return short(60, 20, 90, 30, voters=200, members=2, resamples=20, compare=("plurality",))


def child(folder):
    """One small run, in a process that can be killed."""
    import jax

    from socialrm.pipeline import run
    from socialrm.populations import tennessee

    run(tennessee(60, key=jax.random.key(0)).ballots, small(), out=folder, every=0.0)


def start(folder, default, cache):
    code = f"import sys; sys.argv = ['socialrm', 'run', '--out', {str(folder)!r}]; from socialrm.cli import main; main()"
    line = [sys.executable, "-c", code] if default else [sys.executable, __file__, "--child", str(folder)]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, env=environment, start_new_session=True, **quiet)


def seen(folder):
    """Finished stages and checkpoints, and files of the end, by when they came."""
    found = (
        Path(at) / name for at, below, files in os.walk(folder / "checkpoints") for name in [*below, *files]
    )
    stages = [p for p in found if p.suffix == ".npz" or p.name.isdigit()]  # walk forgives what goes meanwhile
    ended = [folder / name for name in FILES if (folder / name).exists()]
    return [str(p.relative_to(folder)) for p in [*stages, *ended]]


def watch(process, folder, target, wait, done):
    """Add what comes to `done`; kill after `target` of them and `wait` seconds; what it was in, or None if it ended."""
    while process.poll() is None:
        for name in seen(folder):
            done.setdefault(name, len(done))
        if target is not None and len(done) >= target:
            time.sleep(wait)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return next(reversed(done), "start")
        time.sleep(0.003)
    if process.returncode:
        raise SystemExit(f"a run failed: {process.stderr.read().decode()[-2000:]}")
    for name in seen(folder):
        done.setdefault(name, len(done))
    return None


def kills(default, total, each, seed):
    """Rows of `COLUMNS`."""
    rng, here = random.Random(seed), Path(tempfile.mkdtemp())
    name, events = "default" if default else "small", {}
    watch(start(here / "reference", default, here / "cache"), here / "reference", None, 0, events)
    watch(start(here / "second", default, here / "cache"), here / "second", None, 0, {})
    same = lambda folder: all(
        (folder / f).read_bytes() == (here / "reference" / f).read_bytes() for f in FILES
    )
    assert same(here / "second"), "two undisturbed runs differ"
    moments = [(i + rng.random()) / total * len(events) for i in range(total)]
    rng.shuffle(moments)
    for run in range(-(-total // each)):
        folder, rows, done = here / f"run{run}", [], {}
        for kill, target in enumerate(sorted(moments[run * each : (run + 1) * each])):
            wait = rng.random() * (1.0 if default else 0.2)
            killed = watch(start(folder, default, here / "cache"), folder, int(target), wait, done)
            row = {"configuration": name, "seed": seed, "run": run, "kill": kill}
            rows.append(row | {"aimed_at": int(target), "of": len(events), "killed_in": killed or "end"})
        watch(start(folder, default, here / "cache"), folder, None, 0, done)
        ok = same(folder)
        for row in rows:
            yield row | {"same_bytes": ok}


def cost():
    """Processor seconds of a default run, and of its checkpoints."""
    import jax

    from socialrm import checkpoints, pipeline
    from socialrm.populations import tennessee

    spent = {"training checkpoints": [0.0, 0], "finished stages": [0.0, 0]}

    def timed(function, what):
        def call(*args, **options):
            begin = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent[what][0] += time.process_time() - begin
                spent[what][1] += 1

        return call

    import orbax.checkpoint  # noqa: F401  counted apart

    checkpoints.Training.save = timed(checkpoints.Training.save, "training checkpoints")
    checkpoints.write_value = timed(checkpoints.write_value, "finished stages")
    begin = time.process_time()
    pipeline.run(tennessee(key=jax.random.key(0)).ballots, out=Path(tempfile.mkdtemp()) / "run")
    whole = time.process_time() - begin
    for what, (seconds, times) in [*spent.items(), ("whole run", (whole, 1))]:
        row = {"what": what, "times": times, "processor_seconds": round(seconds, 2)}
        yield row | {"share": round(seconds / whole, 4)}


def write(name, rows):
    """Row by row, so that what is done stays."""
    with (RESULTS / name).open("w", newline="", encoding="utf-8") as lines:
        table = None
        for row in rows:
            if table is None:
                table = csv.DictWriter(lines, list(row), lineterminator="\n")
                table.writeheader()
            table.writerow(row)
            lines.flush()
            print(row, flush=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--child", type=Path)
    options.add_argument("--default", action="store_true")
    options.add_argument("--cost", action="store_true")
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--each", type=int, default=4, help="kills of one run")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    if asked.child:
        child(asked.child)
    elif asked.cost:
        write("kill_resume_cost.csv", cost())
    else:
        name = "kill_resume_default.csv" if asked.default else "kill_resume.csv"
        write(name, kills(asked.default, asked.kills, asked.each, asked.seed))
