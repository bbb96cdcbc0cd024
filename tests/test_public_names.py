"""Every public name says what it is in one line, what its parameters mean, of which shape, and shows itself at work."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for path in (ROOT / "socialrm").glob("*.py") if path.name[0] != "_")
ARRAYS = {"Array", "ndarray", "ArrayLike"}
OPTIONS = set(
    re.findall(r"^(\w+) = Annotated\[", (ROOT / "socialrm" / "shell.py").read_text(), re.M)
)  # of commands, with their help


def public(tree):
    """The names in `__all__`, each with the statement that makes it."""
    made = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made[node.name] = node
        elif isinstance(node, ast.Assign):
            made |= {n.id: node for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign):
            made[node.target.id] = node
    return {name: made[name] for name in ast.literal_eval(made["__all__"].value)} if "__all__" in made else {}


def decorators(node):
    return {re.match(r"[\w.]+", ast.unparse(d)).group() for d in node.decorator_list}


def summary(node):
    """What is wrong with the first line of its docstring."""
    paragraph = (ast.get_docstring(node) or "").split("\n\n")[0]
    if not paragraph:
        return ["no docstring"]
    return ["its summary is not one line"] if "\n" in paragraph.strip() else []


def bare_arrays(annotation):
    """Whether an annotation names an array without a jaxtyping shape."""
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        _, *last = annotation.slice.elts
        if isinstance(last[-1], ast.Constant) and isinstance(last[-1].value, str):
            return False
    if isinstance(annotation, ast.Name | ast.Attribute):
        return ast.unparse(annotation).split(".")[-1] in ARRAYS
    return any(bare_arrays(child) for child in ast.iter_child_nodes(annotation))


def described(name, node, lines, annotation, end=None):
    """What is missing from one parameter or field: a comment on its lines, a type, a shape."""
    missing = []
    said = any("#" in line or "help=" in line for line in lines[node.lineno - 1 : end or node.end_lineno])
    if not said and not (isinstance(annotation, ast.Name) and annotation.id in OPTIONS):
        missing.append(f"{name} has no comment")
    if annotation is None:
        missing.append(f"{name} has no type")
    elif bare_arrays(annotation) and name != "key":
        missing.append(f"{name} is an array without a shape")
    return missing


def signature(node, lines):
    """What is missing from a function's parameters and return."""
    arguments, missing = node.args, []
    ends = {d.lineno: d.end_lineno for d in arguments.defaults + arguments.kw_defaults if d is not None}
    given = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    for a in given + [a for a in (arguments.vararg, arguments.kwarg) if a is not None]:
        if a.arg not in ("self", "cls"):
            missing += described(a.arg, a, lines, a.annotation, ends.get(a.end_lineno))
    if node.returns is not None and bare_arrays(node.returns):
        missing.append("returns an array without a shape")
    if node.returns is None and node.name != "__init__":
        missing.append("its return has no type")
    return missing


def members(node, lines):
    """What is missing from a class's fields and public methods."""
    missing = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and item.target.id[0] != "_":
            missing += described(item.target.id, item, lines, item.annotation)
        if isinstance(item, ast.FunctionDef) and (item.name[0] != "_" or item.name == "__init__"):
            said = summary(item) if item.name[0] != "_" else []
            missing += [f"{item.name}: {m}" for m in said + signature(item, lines)]
    return missing


def words(code):
    """The names that code uses, also in a program that it holds as text; and single words in quotes, as commands are."""
    found = set()
    for node in ast.walk(
        ast.parse("\n".join(line for line in code.splitlines() if line[:1] not in ("%", "!")))
    ):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {f"{node.value!r}"} if node.value.isidentifier() else set()
            found |= words(node.value) if "import " in node.value and is_code(node.value) else set()
    return found


def is_code(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


@functools.cache
def shown(source):
    """The names used in the cells of a module's notebook that are not exported."""
    notebook = ROOT / "nbs" / Path(re.search(r"File to edit: (.+\.ipynb)", source).group(1)).name
    cells = [
        "".join(c["source"]) for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"
    ]
    return set().union(*(words(cell) for cell in cells if not re.search(r"^#\|\s*export", cell, re.M)))


def missing(name, node, source):
    lines = source.splitlines()
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        near = lines[max(node.lineno - 2, 0) : node.end_lineno]
        said = any("help=" in line or "#" in line.replace("# %%", "") for line in near)
        return [] if said else ["no comment"]
    found = summary(node)
    found += signature(node, lines) if isinstance(node, ast.FunctionDef) else members(node, lines)
    command = re.search(r"edit: \S+_(cli|commands)\.ipynb", source)
    names = {name, repr(name)} if command else {name}
    if ">>>" not in (ast.get_docstring(node) or "") and not names & shown(source):
        found.append("no example")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_public_names_are_documented_and_shown(path):
    source = path.read_text()
    found = {name: missing(name, node, source) for name, node in public(ast.parse(source)).items()}
    assert not {name: what for name, what in found.items() if what}
