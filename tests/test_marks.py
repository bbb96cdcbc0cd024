"""Every claim of the post that is judged has its rows, its notebook, and one figure a seed."""

from pathlib import Path

import pytest

from socialrm.evidence import read_marks, read_results

ROOT = Path(__file__).parents[1]
MARKS = read_marks(ROOT)
RESULTS = {mark.file: read_results(mark.file, ROOT) for mark in MARKS}


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.claim)
def test_a_mark_is_measured_once_a_seed(mark):
    rows = RESULTS[mark.file].where(**mark.wanted).rows
    seeds = [row["seed"] for row in rows]
    assert len(set(seeds)) == len(seeds), "its rows leave open which figure decides"
    assert mark.verdict(RESULTS[mark.file]).seeds == len(seeds)
    assert list((ROOT / "nbs" / "experiments").glob(f"{mark.notebook}_*.ipynb"))


def test_claims_differ():
    assert len({mark.claim for mark in MARKS}) == len(MARKS)


def test_the_readme_counts_every_mark():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    table = text.split("<!-- claims: begin -->")[1].split("What did not hold")[0]
    rows = [line.split("|")[2] for line in table.splitlines()[3:] if line.startswith("| ")]
    assert sum(map(int, rows)) == len(MARKS), "run python benchmarks/claims.py --readme"
