"""GitHub's workflows: they parse, call targets that exist, and test the versions that the package says it runs on."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_there_is(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["name"] and True in workflow  # `on` is read as true
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 360 and job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            called = re.findall(r"\bmake ([a-z]+)", step.get("run", ""))
            assert set(called) <= targets
            for file in step.get("with", {}).get("cache-dependency-path", "").split():
                assert (ROOT / file).is_file()
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+", step["uses"])


def test_every_version_that_is_promised_is_tested():
    matrix = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]["test"]["strategy"][
        "matrix"
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]
    assert matrix["python"] == named and project["requires-python"] == f">={named[0]}"
