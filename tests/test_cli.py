"""The command parses, calls one function, prints to the right stream, and says what is wrong in one line."""

import csv
import io
import json
import subprocess
import sys
import types
from dataclasses import dataclass, field

import jax
import numpy as np
import pytest
from made_run import TENNESSEE, make_run
from typer.testing import CliRunner

import socialrm
from socialrm.cli import Progress, app
from socialrm.rows import read_rows
from socialrm.rules import RULES

RATINGS = "rater,prompt,completion,rank\n" + "".join(
    f"{rater},tea?,{tea},{rank}\n"
    for rater, order in (("ann", "gbm"), ("bob", "bmg"), ("cat", "bgm"))
    for rank, tea in enumerate(order)
)


def shell(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def fails(*arguments):
    """The one line that says what is wrong."""
    code, out, err = shell(*arguments)
    assert (code, out) == (2, "") and "Traceback" not in err
    lines = err.strip().splitlines()
    assert lines[-1].startswith("socialrm: ")
    return lines[-1]


@dataclass(frozen=True)
class Optimisation:
    steps: int = 3000


@dataclass(frozen=True)
class Stage:
    interpretation: str = "ids"
    optimisation: Optimisation = field(default_factory=Optimisation)
    members: int = 1


@dataclass(frozen=True)
class RunConfig:
    rule: str = "borda"
    seats: int | None = None
    normalise: str = "range"
    target: str = "order"
    seed: int = 0
    electorate: str = "auto"
    orders: str = "sampled"
    voters: int = 10_000
    devices: int = 1
    seeds: int = 1
    min_support: float = 0.9
    individual: Stage = field(default_factory=Stage)
    social: Stage = field(default_factory=Stage)


@pytest.fixture
def pipeline(monkeypatch):
    """A pipeline that trains nothing and remembers how it was called."""
    stub = types.ModuleType("socialrm.pipeline")
    stub.RunConfig, stub.calls = RunConfig, []

    def run(ballots, config, *, out=None, report=None, progress=None, force=False, **how):
        stub.calls.append((ballots, config, out, report, force))
        for stage in ("individual", "social"):
            progress({"stage": stage, "step": 100, "loss": 0.5, "rho": 0.0})
            progress({"stage": stage, "step": 200, "loss": 0.4})
        make_run(out, TENNESSEE)

    def score(prompts, completions, objective):
        return np.arange(len(prompts), dtype=np.float32)

    stub.run = run
    runs = types.ModuleType("socialrm.runs")
    runs.load = lambda folder: types.SimpleNamespace(score=score)
    monkeypatch.setitem(sys.modules, "socialrm.runs", runs)
    monkeypatch.setitem(sys.modules, "socialrm.pipeline", stub)
    monkeypatch.setattr(socialrm, "pipeline", stub, raising=False)
    return stub


def test_help_needs_nothing_heavy():
    code = "import sys, socialrm.cli; print([m for m in ('jax', 'numpy', 'sklearn', 'matplotlib') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    code, out, _ = shell("--help")
    assert code == 0
    for command in ("run", "score", "rules", "aggregate", "validate", "report", "diff", "export", "profile"):
        assert command in out
        assert shell(command, "--help")[0] == 0


def test_rules_are_listed():
    code, out, _ = shell("rules")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == list(RULES)
    assert {"utilitarian", "stv"} <= set(RULES)
    borda = next(line for line in out.splitlines() if line.startswith("borda "))
    assert "cost n m;" in borda and "satisfies condorcet_loser, unanimity" in borda
    assert "violates majority, condorcet_winner, clones; Borda 1781" in borda
    for line in out.splitlines():
        cost, judged = "; cost " in line, "; not judged;" in line or "; satisfies " in line
        assert cost and judged and line.split("; ")[-1].strip()


def test_run_without_ratings_is_tennessee(pipeline, tmp_path):
    out = tmp_path / "run"
    code, printed, remarks = shell("run", "--rule", "copeland", "--out", out, "--seed", 3, "--steps", 200)
    assert code == 0
    (ballots, config, folder, report, force), *_ = pipeline.calls
    assert ballots.n_raters == 2000 and folder == out and report is None and not force
    assert (config.rule, config.seed, config.individual.optimisation.steps) == ("copeland", 3, 200)
    assert config.social.optimisation.steps == 3000 and config.voters == 10_000
    assert printed.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "Which city should be the capital of Tennessee?: " in printed and " > " in printed
    assert "2,000 raters" in remarks


def test_run_passes_its_options_on(pipeline, tmp_path):
    (tmp_path / "teas.csv").write_text(RATINGS)
    options = "--electorate simulated --orders modal --interpretation tokens --voters 50".split()
    options += "--rule maximal_lottery --target win_rate --normalise sum".split()
    assert shell("run", tmp_path / "teas.csv", "--out", tmp_path / "run", *options)[0] == 0
    ((ballots, config, _, report, _),) = pipeline.calls
    assert ballots.n_raters == 3 and report.rows == 9
    assert (config.electorate, config.orders, config.voters) == ("simulated", "modal", 50)
    assert (config.rule, config.target, config.normalise) == ("maximal_lottery", "win_rate", "sum")
    assert config.individual.interpretation == config.social.interpretation == "tokens"


def test_run_weights_groups_and_sets_support(pipeline, tmp_path):
    rows = [
        line.replace("north", "south") if line.startswith("cat") else line
        for line in RATINGS.replace("\n", ",north\n").splitlines()
    ]
    groups = "\n".join(["rater,prompt,completion,rank,group", *rows[1:]]) + "\n"
    (tmp_path / "teas.csv").write_text(groups)
    (tmp_path / "groups.csv").write_text("group,share\nnorth,0.25\nsouth,0.75\n")
    options = ["--weights", tmp_path / "groups.csv", "--min-support", 0.8, "--seeds", 3]
    assert shell("run", tmp_path / "teas.csv", "--out", tmp_path / "run", *options)[0] == 0
    ((ballots, config, *_),) = pipeline.calls
    np.testing.assert_allclose(ballots.weight, [0.375, 0.375, 2.25])
    assert (config.min_support, config.seeds) == (0.8, 3)
    (tmp_path / "groups.csv").write_text("group,share\nnorth,1\n")
    assert "group 'south' has no share" in fails(
        "run", tmp_path / "teas.csv", "--out", tmp_path / "new", *options[:2]
    )


def test_run_overwrites_nothing_by_itself(pipeline, tmp_path):
    (tmp_path / "precious").write_text("x")
    assert "is not empty, and holds no run begun here" in fails("run", "--out", tmp_path)
    assert "no run to go on with" in fails("run", "--out", tmp_path / "new", "--resume")
    assert "is a file" in fails("run", "--out", tmp_path / "precious")
    assert pipeline.calls == []
    assert shell("run", "--out", tmp_path, "--force")[0] == 0
    assert pipeline.calls[0][-1] and (tmp_path / "precious").exists()


def test_bad_input_is_one_line(pipeline, tmp_path):
    assert "no rule is called 'bordo'" in fails("run", "--rule", "bordo", "--out", tmp_path / "run")
    assert "no file 'absent.csv'" in fails("run", "absent.csv", "--out", tmp_path / "run")
    assert "say how many seats" in fails("run", "--rule", "stv", "--out", tmp_path / "run")
    assert "has no seats" in fails("run", "--seats", "2", "--out", tmp_path / "run")
    assert "is numbers" in fails("run", "--rule", "scores:3,one", "--out", tmp_path / "run")
    assert "absent" in fails("validate", "absent")
    (tmp_path / "bad.csv").write_text("rater,prompt,completion,rank\nann,tea?,green,first\n")
    assert "line 2" in fails("validate", tmp_path / "bad.csv")
    assert "no run's folder" in fails("report", tmp_path)
    assert pipeline.calls == []


def test_unknown_options_are_the_parsers_business(tmp_path):
    code, _, err = shell("run", "--electorate", "everybody", "--out", tmp_path / "run")
    assert code == 2 and "everybody" in err
    assert shell("run", "--voters", "0", "--out", tmp_path / "run")[0] == 2


def test_the_traceback_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("SOCIALRM_TRACEBACK", "1")
    with pytest.raises(ValueError, match="no file"):
        shell("validate", "absent.csv")


def test_aggregate_is_the_rule_itself(tmp_path):
    (tmp_path / "teas.csv").write_text(RATINGS)
    code, out, _ = shell("aggregate", tmp_path / "teas.csv", "--rule", "borda")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [(r["completion"], int(r["rank"])) for r in rows] == [("b", 0), ("g", 1), ("m", 2)]
    assert shell("aggregate", tmp_path / "teas.csv", "--out", tmp_path / "orders.csv")[1] == ""
    assert (tmp_path / "orders.csv").read_text() == out
    (tmp_path / "short.csv").write_text(RATINGS.replace("cat,tea?,m,2\n", ""))
    assert "leave completions out" in fails("aggregate", tmp_path / "short.csv")
    assert shell("aggregate", tmp_path / "short.csv", "--unranked", "last")[0] == 0


def test_aggregate_takes_slates_and_score_vectors_and_no_cardinal_rules(tmp_path):
    file = tmp_path / "teas.csv"
    file.write_text(RATINGS)
    for rule, options, ranks in (
        ("stv", ("--seats", 2), [0, 0, 2]),
        ("equal_shares", ("--seats", 2), [0, 0, 2]),
        ("scores:3,1,0", (), [0, 1, 2]),
        ("copeland:0", (), [0, 1, 2]),
    ):
        code, out, _ = shell("aggregate", file, "--rule", rule, *options)
        rows = sorted(csv.DictReader(io.StringIO(out)), key=lambda row: "bgm".index(row["completion"]))
        assert code == 0 and [int(row["rank"]) for row in rows] == ranks, rule
    assert "how many seats" in fails("aggregate", file, "--rule", "stv")
    assert "has no seats" in fails("aggregate", file, "--rule", "borda", "--seats", 2)
    assert "a slate of 4 from 3" in fails("aggregate", file, "--rule", "stv", "--seats", 4)
    assert "3 candidates need as many" in fails("aggregate", file, "--rule", "scores:3,1")
    assert "needs rewards, not ranks" in fails("aggregate", file, "--rule", "utilitarian")


def test_validate_as_text_and_as_json(tmp_path):
    (tmp_path / "teas.csv").write_text(RATINGS)
    code, out, err = shell("validate", tmp_path / "teas.csv")
    assert code == 0 and "raters: 3" in out and "9 rows of ranks" in err
    facts = json.loads(shell("validate", tmp_path / "teas.csv", "--json")[1])["facts"]
    assert facts["size"]["raters"] == 3


def test_score_keeps_columns_and_format(pipeline, tmp_path):
    (tmp_path / "rows.csv").write_text('prompt,completion,id\ntea?,"green, please",7\ntea?,black,8\n')
    code, out, _ = shell("score", tmp_path, tmp_path / "rows.csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [r["id"] for r in rows] == ["7", "8"] and [float(r["score"]) for r in rows] == [0, 1]
    (tmp_path / "rows.jsonl").write_text('{"prompt": "tea?", "completion": "grün", "n": [1]}\n\n')
    shell("score", tmp_path, tmp_path / "rows.jsonl", "--out", tmp_path / "scored.jsonl")
    assert json.loads((tmp_path / "scored.jsonl").read_text()) == {
        "prompt": "tea?",
        "completion": "grün",
        "n": [1],
        "score": 0.0,
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"prompt": "x"}\n', "line 1: no text in completion"),
        ("a.jsonl", "[1]\n", "line 1: no text in prompt and completion"),
        ("a.jsonl", '{"prompt": "x", "completion": "y"}\n{', "line 2: not JSON"),
        ("a.jsonl", "", "has no rows"),
        ("a.csv", "prompt,answer\nx,y\n", "line 2: no text in completion"),
        ("a.csv", "prompt,completion\nx\n", "line 2: no text in completion"),
    ],
)
def test_rows_that_cannot_be_scored(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / name)


def test_report_and_diff_of_folders(tmp_path):
    one, other = (make_run(tmp_path / n, TENNESSEE, seed=s) for n, s in (("one", 0), ("other", 1)))
    assert shell("report", one) == (0, f"{one / 'report.html'}\n", "")
    code, out, err = shell("diff", one, other)
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 0 and rows[0] == ["prompt", "completion", "other_completion", str(one), str(other)]
    assert err == f"{len(rows) - 1} of 12 pairs change\n"
    assert all(before != after for *_, before, after in rows[1:])
    assert shell("diff", one, one)[2] == "0 of 12 pairs change\n"


def test_texts_do_not_steer_the_terminal():
    from socialrm.findings import Contest
    from socialrm.shell import top

    contest = Contest("\x1b[31mred?\n", tuple("abcdefg"), tuple(range(7)), (0.0,) * 7)
    assert list(top({"x": contest})) == ["[31mred?: a > b > c > d > e > 2 more"]


def test_progress_is_a_line_a_stage(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress({"individual": 200})
    progress({"stage": "individual", "step": 200, "loss": 0.25, "rho": 1.0, "kl": 3.0})
    progress({"stage": "social", "step": 10, "loss": 0.5})
    progress.close()
    first, second = (line.split("\r")[-1] for line in stream.getvalue().strip().split("\n"))
    assert first.startswith("individual: 100%") and "loss 0.250, rho 1.000" in first and "kl" not in first
    assert second.startswith("social: 10 steps") and "loss 0.500" in second


@pytest.fixture
def usual_numerics():
    """As users have it: optimisers and attention layers of other libraries mix types and ranks."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        yield


def test_a_run_from_a_file_to_scores(usual_numerics, tmp_path):
    """No stub: the smallest run that is one, through the report, and back to score what it knows and what it does not."""
    rows = [
        f"r{i},tea?,{tea},{rank}" for i in range(24) for rank, tea in enumerate("gbm" if i % 3 else "mbg")
    ]
    (tmp_path / "teas.csv").write_text("\n".join(["rater,prompt,completion,rank", *rows]) + "\n")
    run = tmp_path / "run"
    options = ["--out", run, "--steps", 100, "--voters", 200, "--rule", "plurality"]
    code, out, _ = shell("run", tmp_path / "teas.csv", *options)
    assert code == 0 and out.startswith("tea?: g > m > b")
    assert json.loads((run / "config.json").read_text())["individual"]["optimisation"]["steps"] == 100
    report = (run / "report.html").read_text()
    assert "24" in report and "All counts" in report
    orders = [run / f"{name}_orders.csv" for name in ("social", "vanilla")]
    assert [path.read_text().count("\n") for path in orders] == [4, 4]
    (tmp_path / "ask.csv").write_text("prompt,completion\ntea?,b\ntea?,g\ntea?,m\n")
    b, g, m = (
        float(row["score"])
        for row in csv.DictReader(io.StringIO(shell("score", run, tmp_path / "ask.csv")[1]))
    )
    assert g > m > b
    (tmp_path / "new.csv").write_text("prompt,completion\ntea?,oolong\n")
    assert "oolong" in fails("score", run, tmp_path / "new.csv")
    assert "holds another run" in fails("run", tmp_path / "teas.csv", "--out", run)


@pytest.mark.parametrize(
    ("options", "order"),
    [
        (("--rule", "utilitarian"), "g > m > b"),
        (("--rule", "leximin", "--normalise", "none", "--electorate", "simulated"), None),
        (("--rule", "stv", "--seats", 2), "m = g > b"),
        (("--rule", "scores:3,1,0"), "g > m > b"),
        (("--rule", "random_dictator", "--target", "probability"), "g > m > b"),
    ],
)
def test_runs_of_every_kind_of_rule(usual_numerics, tmp_path, options, order):
    """Two thirds rank g > m > b, one third m > g > b."""
    rows = [
        f"r{i},tea?,{tea},{rank}" for i in range(24) for rank, tea in enumerate("gmb" if i % 3 else "mgb")
    ]
    (tmp_path / "teas.csv").write_text("\n".join(["rater,prompt,completion,rank", *rows]) + "\n")
    out = tmp_path / "run"
    code, printed, _ = shell(
        "run", tmp_path / "teas.csv", "--out", out, "--steps", 30, "--voters", 48, *options
    )
    assert code == 0 and (order is None or printed.startswith(f"tea?: {order}"))
    config = json.loads((out / "config.json").read_text())
    assert config["rule"] == options[1] and config["normalise"] == ("none" if "none" in options else "range")
    assert options[1] in (out / "report.html").read_text()
    if options[1] == "stv":
        assert "is on the slate of stv in 1 of 1 contest" in printed
        assert "stv" not in (out / "rule_impact.csv").read_text()


def test_what_cannot_work_fails_before_training(usual_numerics, tmp_path):
    (tmp_path / "teas.csv").write_text(RATINGS)
    options = "run", tmp_path / "teas.csv", "--steps", 100_000, "--out"
    for rule, message in (("scores:3,1", "3 candidates need as many"), ("scores:nan,1,0", "finite")):
        assert message in fails(*options, tmp_path / "run", "--rule", rule)
    assert "a slate of 4 from 3" in fails(*options, tmp_path / "run", "--rule", "stv", "--seats", 4)
    late = fails(*options, tmp_path / "run", "--rule", "nash", "--normalise", "deviation")
    assert "nash needs rewards that are not negative" in late
    assert "needs a lottery" in fails(*options, tmp_path / "run", "--target", "win_rate")
