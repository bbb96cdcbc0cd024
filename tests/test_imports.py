"""What CI does not run, slow cells and benchmarks, still imports names that exist."""

import ast
import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "nbs").rglob("*.ipynb"))


def source(path):
    """A script, or a notebook's code without magics."""
    if path.suffix == ".py":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code").split("\n")
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def missing(code):
    """Names imported from the package that it does not have."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "socialrm":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    try:
                        importlib.import_module(f"{node.module}.{alias.name}")
                    except ModuleNotFoundError:
                        yield f"{node.module}.{alias.name}"


@pytest.mark.parametrize("path", SCRIPTS + NOTEBOOKS, ids=lambda path: path.stem)
def test_imported_names_exist(path):
    assert list(missing(source(path))) == []


def test_a_missing_name_is_found():
    assert list(missing("from socialrm.ballots import Ballots, Ballast")) == ["socialrm.ballots.Ballast"]
