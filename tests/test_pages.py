"""Two pages in a real browser; `make pages` opens them all."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")
def test_pages_are_right_on_a_desk_and_on_a_phone():
    pages = [ROOT / "nbs" / name for name in ("index.ipynb", "20_architecture.ipynb")]
    command = [sys.executable, ROOT / "scripts" / "check-pages", "--stored", *pages]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 of 2 pages are right" in run.stdout


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")
def test_a_wrong_page_is_found(tmp_path):
    """A table too wide, a picture from a network, a diagram that does not parse."""
    import nbformat
    from nbformat.v4 import new_markdown_cell, new_notebook

    wide = '<div style="width: 900px">too wide</div>'
    remote = '<img src="https://example.invalid/a.png" alt="">'
    diagram = "```mermaid\nflowchart LR\n  a --> [\n```"
    page = tmp_path / "nbs" / "wrong.ipynb"
    page.parent.mkdir()
    nbformat.write(
        new_notebook(cells=[new_markdown_cell(s) for s in ("# Wrong", wide, remote, diagram)]), page
    )
    command = [sys.executable, ROOT / "scripts" / "check-pages", "--stored", page]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    for problem in (
        "pixels wide in a window of 390",
        "network: https://example.invalid",
        "without words",
        "refuses",
    ):
        assert problem in said, said
