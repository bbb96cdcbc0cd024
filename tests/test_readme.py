"""The README's code runs and prints what it promises."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.trains

README = Path(__file__).parents[1] / "README.md"


def test_the_ten_lines_run(capsys):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.S)[1]
    exec(compile(code, str(README), "exec"), {})
    assert capsys.readouterr().out.split("\n")[:2] == [
        "vanilla is not Borda on complete data",
        "social is Borda on complete data",
    ]


def test_every_file_that_the_readme_names_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert "://" in target or (README.parent / target).exists(), target
