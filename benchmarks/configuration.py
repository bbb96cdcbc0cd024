"""Which default configuration a stored figure was learned under.

A row of `claims.csv`, `real_data.csv` or `held_out.csv` that rests on an individual reward model carries the digest of the settings that it was
trained with; rows of baselines, which no such model touches, carry none. `results/configurations.csv` says what each digest stands for. Figures
under a digest that is not today's are of an older default: `python benchmarks/claims.py --stale` measures those anew.
"""

import csv
import fcntl
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from socialrm.density import DensityConfig
from socialrm.imputation import BASELINES
from socialrm.individual import IndividualConfig
from socialrm.social import SocialConfig

REVISION = 3  # of what the same settings compute: 2 draws a training step's random numbers in one block, 3 parameters by NumPy
KNOWN = Path(__file__).parent / "results" / "configurations.csv"
UNLEARNED = {*BASELINES, "complete data"}  # methods without an individual model


def settings() -> str:
    """Defaults that learning reads, as JSON."""
    parts = {"individual": IndividualConfig(), "density": DensityConfig(), "social": SocialConfig()}
    found = {name: asdict(part) for name, part in parts.items()}
    return json.dumps(found | {"revision": REVISION}, sort_keys=True)


def configuration() -> str:
    """Digest of today's defaults, written down with what it stands for."""
    digest = hashlib.sha256(settings().encode()).hexdigest()[:8]
    if not KNOWN.exists():
        KNOWN.write_text("configuration,settings\n")
    with KNOWN.open(newline="") as lines:
        known = {row["configuration"] for row in csv.DictReader(lines)}
    if digest not in known:
        with KNOWN.open("a", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerow((digest, settings()))
    return digest


def exchange(path: Path, columns: tuple[str, ...], gone, rows: list[tuple]) -> None:
    """Rows at the end of a file of results, in place of those that `gone` names; other processes wait."""
    if not path.exists():
        path.write_text(",".join(columns) + "\n")
    with path.open("r+", newline="") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        kept = [tuple(row[c] or "" for c in columns) for row in csv.DictReader(lines) if not gone(row)]
        lines.seek(0)
        csv.writer(lines, lineterminator="\n").writerows([columns, *kept, *rows])
        lines.truncate()
