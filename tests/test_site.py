"""The site's sidebar lists the notebooks that exist, all of them, once."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def pages(node):
    """Every `.ipynb` named below a node of the sidebar."""
    if isinstance(node, str):
        return [node] if node.endswith(".ipynb") else []
    if isinstance(node, dict):
        node = [node[key] for key in ("href", "file", "contents") if key in node]
    return [page for child in node for page in pages(child)]


def test_sidebar_lists_every_notebook_once():
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    listed = pages(config["website"]["sidebar"]["contents"])
    there = [str(path.relative_to(ROOT / "nbs")) for path in (ROOT / "nbs").rglob("*.ipynb")]
    assert sorted(listed) == sorted(p for p in there if ".ipynb_checkpoints" not in p)
