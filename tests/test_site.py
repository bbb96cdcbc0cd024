"""The site: its sidebar lists every notebook once, links lead somewhere, figures have words, and no stored output is an error."""

import ast
import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import socialrm

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *NOTEBOOKS]


def listed(node):
    """Every `.ipynb` named below a node of the sidebar."""
    if isinstance(node, str):
        return [node] if node.endswith(".ipynb") else []
    if isinstance(node, dict):
        node = [node[key] for key in ("href", "file", "contents") if key in node]
    return [page for child in node for page in listed(child)]


def cells(notebook, kind):
    return [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == kind]


def prose(page):
    """The Markdown of a page, without its code."""
    if page.suffix == ".md":
        text = page.read_text()
    else:
        text = "\n\n".join("".join(c["source"]) for c in cells(page, "markdown"))
    return re.sub(r"```.*?```|`[^`\n]*`|\$[^$\n]*\$", "", text, flags=re.DOTALL)


def test_sidebar_lists_every_notebook_once():
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text())
    there = [str(path.relative_to(ROOT / "nbs")) for path in NOTEBOOKS]
    assert sorted(listed(config["website"]["sidebar"]["contents"])) == sorted(there)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_title_and_a_subtitle_first(notebook):
    first = json.loads(notebook.read_text())["cells"][0]
    assert first["cell_type"] == "markdown"
    assert re.match(r"# [^#\n]+\n\n> .+", "".join(first["source"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"https?:|mailto:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_figures_have_words_and_outputs_are_no_errors(notebook):
    for cell in cells(notebook, "code"):
        source = "".join(cell["source"])
        kinds = {o["output_type"] for o in cell["outputs"]}
        assert "error" not in kinds, source
        assert "site-packages" not in json.dumps(cell["outputs"]), (
            f"a machine's path in the output of {source}"
        )
        plain = {"text/plain", "text/markdown", "image/png"}  # anything else makes Quarto fetch scripts
        assert {kind for o in cell["outputs"] for kind in o.get("data", {})} <= plain, source
        if any("image/png" in o.get("data", {}) for o in cell["outputs"]):
            assert "#| fig-alt:" in source and "#| fig-cap:" in source, source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_stand_in_cells_of_their_own(notebook):
    """Building the site runs cells that import, without the cells before them."""
    sources = ["".join(c["source"]) for c in cells(notebook, "code")]
    if not any(s.startswith("#| default_exp") for s in sources):
        return  # no symbols to show: none of it is run
    for source in sources:
        if not re.search(r"^#\|\s*export", source, re.M) and not re.match(r"(#\|.*\n)*%", source):
            statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
            imports = [isinstance(node, ast.Import | ast.ImportFrom) for node in statements]
            assert all(imports) or not any(imports), source


@pytest.mark.filterwarnings("ignore")
def test_every_public_name_has_a_page():
    from socialrm.api_pages import Renderer

    for name in (m.name for m in pkgutil.iter_modules(socialrm.__path__) if m.name[0] != "_" and not m.ispkg):
        module = importlib.import_module(f"socialrm.{name}")
        for symbol in (getattr(module, public) for public in getattr(module, "__all__", ())):
            if callable(symbol) and getattr(symbol, "__module__", None) == module.__name__:
                page = Renderer(symbol)._repr_markdown_()
                assert "jaxlib." not in page and f"### {symbol.__qualname__}" in page, page
