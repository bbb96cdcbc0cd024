"""Tables of benchmarks/README.md, each between its two marks."""

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"


def write_table(name: str, lines: Iterable[str]) -> None:
    """Put these lines where that table was; the rest of the page stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text("\n".join((before + begin, *lines, end)) + rest.split(end)[1])
