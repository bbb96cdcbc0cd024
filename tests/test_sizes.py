"""A module is read in one sitting, and an exported cell at a glance."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for path in (ROOT / "socialrm").glob("*.py") if path.name[0] != "_")
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))


def lines_of_code(source):
    """How many lines do something: not blank, comment, import, docstring, or one of a signature's parameters."""
    source = "\n".join("" if line.startswith(("%", "!")) else line for line in source.splitlines())
    said = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            said |= set(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            said |= set(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.FunctionDef):
            said |= set(range(node.lineno + 1, node.body[0].lineno))
    code = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and number not in said for number, line in code)


def test_lines_of_code():
    assert (
        lines_of_code(
            '#| export\nimport os\n\n\ndef f(\n    a,  # b\n):\n    "What."\n    # why\n    return a\n'
        )
        == 2
    )
    assert lines_of_code("class A:\n    b: int  # c\n\n    def d(self): return 1\n") == 3


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_modules_have_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exported_cells_have_at_most_30_lines_of_code(path):
    cells = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    for cell in cells:
        if re.search(r"^#\|\s*export", cell, re.M):
            assert lines_of_code(cell) <= 30, cell
