"""Input that somebody made to do harm: formulas, HTML, pickles, links, paths, numbers beyond all measure."""

import csv
import importlib.util
import io
import json
import os
import pickle
import resource
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import make_run

from socialrm.aggregation import aggregate
from socialrm.ballots import Contests, Vocabulary, make_ballots
from socialrm.findings import read_folder, read_orders
from socialrm.groups import read_shares
from socialrm.losses import list_mle, pairwise
from socialrm.profiles import margins
from socialrm.report import write_report
from socialrm.rows import cell, read_rows, uncell, write_orders, write_rows
from socialrm.stored import load_pairs

TEXTS = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "'=1",
    "''=1",
    "-5",
    "<script>x</script>",
    "a",
]


@given(st.text())
def test_every_text_comes_back_from_a_cell(text):
    assert uncell(cell(text)) == text
    assert cell(text)[:1] not in tuple("=@\t\r") or text == ""


@given(st.text(alphabet="'=+-@\t\r1aé", max_size=6))
def test_texts_near_formulas_come_back(text):
    assert uncell(cell(text)) == text


def test_formulas_are_no_formulas_in_csv_and_come_back(tmp_path):
    vocabulary = Vocabulary((), ("=1+1",), tuple(TEXTS))
    contests = Contests(np.zeros(1, int), np.arange(len(TEXTS))[None], vocabulary)
    order = aggregate(np.arange(len(TEXTS))[None, None], "borda")
    with (tmp_path / "orders.csv").open("w", newline="", encoding="utf-8") as out:
        write_orders(out, contests, order)
    for row in csv.reader(io.StringIO((tmp_path / "orders.csv").read_text(encoding="utf-8"))):
        assert all(text == "-5" or text[:1] not in "=+@\t\r" for text in row[:2])
    (found,) = read_orders(tmp_path / "orders.csv").values()
    assert found.prompt == "=1+1" and list(found.completions) == TEXTS
    rows = [{"prompt": "=p", "completion": text, "score": "0.5"} for text in TEXTS]
    for name, as_json in (("scored.csv", False), ("scored.jsonl", True)):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as out:
            write_rows(out, rows, as_json=as_json)
        assert read_rows(tmp_path / name) == rows


def test_html_in_texts_is_text_in_the_report(tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    folder = make_run(tmp_path / "run", {f"{evil} p": [f"{evil} {i}" for i in range(3)]})
    page = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path(self.path).touch, ())


def test_no_reader_runs_a_pickle(tmp_path):
    exploded, bomb = tmp_path / "exploded", tmp_path / "bomb"
    bomb.write_bytes(pickle.dumps(Bomb(exploded)))
    from socialrm.importers import load_any

    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.soc", "a.soi", "a.toc", "a.pkl"):
        (tmp_path / name).write_bytes(bomb.read_bytes())
        with pytest.raises((ValueError, OSError)):
            load_any(tmp_path / name)
    for reader in (read_rows, read_shares, load_pairs):
        with pytest.raises((ValueError, OSError)):
            reader(bomb)
    folder = make_run(tmp_path / "run", {"p": ["a", "b"]})
    np.savez(folder / "voters.npz", z=np.array([Bomb(exploded)], object), component=np.zeros(1))
    with pytest.raises(ValueError):
        read_folder(folder)
    assert not exploded.exists()


def test_losses_of_rewards_of_1e30_are_finite_and_right():
    rewards, rank = jnp.array([1e30, 0.0, -1e30]), jnp.arange(3)
    everything = jnp.ones(3, bool)
    for loss in (list_mle, pairwise):
        assert float(loss(rewards, rank, everything)) == 0.0  # the order is certain
        value, slope = jax.value_and_grad(lambda r, loss=loss: loss(r, rank, everything))(rewards[::-1])
        assert np.isfinite(value) and value > 1e29 and np.isfinite(slope).all()


def test_losses_agree_in_float32_and_float64():
    rng = np.random.default_rng(0)
    for size in (2, 5, 50):
        rewards, rank = 5 * rng.standard_normal(size), np.sort(rng.permutation(size) // 2)
        where = rng.random(size) < 0.8
        for loss in (list_mle, pairwise):
            single = loss(jnp.asarray(rewards, np.float32), jnp.asarray(rank), jnp.asarray(where))
            with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
                double = loss(jnp.asarray(rewards, np.float64), jnp.asarray(rank), jnp.asarray(where))
            assert single.dtype == np.float32 and double.dtype == np.float64
            np.testing.assert_allclose(float(single), float(double), rtol=2e-6, atol=1e-6)


def test_ten_million_voters_are_counted_exactly():
    """More than float32 can count one by one (2^24 needs care, 10^7 x 2 candidates exceeds it)."""
    voters, for_first = 10_000_000, 5_000_001
    ranks = np.zeros((voters, 2), np.int32)
    ranks[:for_first, 1] = 1
    ranks[for_first:, 0] = 1
    found = margins(ranks, np.ones(voters))
    assert found[0, 1] == 2 * for_first - voters == 2
    assert aggregate(ranks[None], "plurality").ranks.tolist() == [[0, 1]]
    assert aggregate(ranks[None], "borda").ranks.tolist() == [[0, 1]]


def test_scores_of_1e30_are_an_order_like_any_other(tmp_path):
    from socialrm.importers import load_any

    (tmp_path / "a.csv").write_text("rater,prompt,completion,score\nr,p,a,1e30\nr,p,b,-1e30\nr,p,c,0\n")
    ballots, _ = load_any(tmp_path / "a.csv")
    assert ballots.profile("p").tolist() == [[0, 2, 1]]


def test_ten_thousand_completions_in_one_ballot():
    ballots = make_ballots([("r", "p", [f"c{i}" for i in range(10_000)])])
    assert ballots.rank.shape == (1, 10_000)
    loss = list_mle(jnp.zeros(10_000), jnp.arange(10_000), jnp.ones(10_000, bool))
    expected = np.log(np.arange(1, 10_001)).sum()
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)


def test_config_values_cannot_name_code(tmp_path):
    from socialrm.individual import IndividualConfig
    from socialrm.stored import from_dict

    for values in (
        {"interpretation": "os.system"},
        {"__class__": "os"},
        {"architecture": "x"},
        {"beta": {"a": 1}},
    ):
        with pytest.raises(ValueError):
            from_dict(IndividualConfig, json.loads(json.dumps(values)))


def test_three_hundred_broken_inputs():
    """The generator of benchmarks/fuzz.py, for a few seconds; ten thousand inputs are in `make weekly`."""
    spec = importlib.util.spec_from_file_location(
        "fuzz", Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
    )
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # megabytes; other tests' too
    counts, bad, _, memory = fuzz.examine(300, 0, seed=100)
    assert not bad and memory - before < 1_500
    assert sum(n for (kind, _), n in counts.items() if kind != "aggregate") == 300
    assert counts["csv", "read"] and counts["csv", "error"]  # not all broken, not all whole


def test_a_run_of_scores_of_1e30(tmp_path):
    """Only the order of scores counts: the run is that of scores 2, 1, 0, to the last bit."""
    from test_resume import SHORT

    from socialrm.importers import load_any
    from socialrm.pipeline import run

    scores, found = {"large": ("1e30", "0", "-1e30"), "small": ("2", "1", "0")}, []
    for name, values in scores.items():
        rows = [f"r{i},p,{c},{v}" for i in range(6) for c, v in zip("abc" if i < 4 else "cba", values)]
        (tmp_path / f"{name}.csv").write_text("rater,prompt,completion,score\n" + "\n".join(rows) + "\n")
        ballots, _ = load_any(tmp_path / f"{name}.csv")
        found.append(ballots.rank)
    np.testing.assert_array_equal(*found)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        result = run(ballots, SHORT)
    assert result.order.ranks.tolist() == [[0, 1, 2]] and np.isfinite(result.social.score()).all()


def test_a_run_of_ten_thousand_completions_is_refused_before_any_work(tmp_path):
    from socialrm.pipeline import RunConfig, run
    from socialrm.sizes import needed

    ballots = make_ballots([(f"r{i}", "p", [f"c{j}" for j in range(10_000)]) for i in range(3)])
    if (
        max(needed(ballots, RunConfig()).values())
        < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    ):
        pytest.skip("this machine could hold it")
    with pytest.raises(ValueError, match="up to 10,000 candidates .* GB of"):
        run(ballots, RunConfig(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_report_does_not_leave_its_folder(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.html").write_text("mine")
    for name, target in (("figures", outside), ("report.html", outside / "mine.html")):
        folder = make_run(tmp_path / f"run-{name}", {"p": ["a", "b", "c"]})
        (folder / name).symlink_to(target)
        with pytest.raises(ValueError, match=f"{name} is a link"):
            write_report(folder)
    folder = make_run(tmp_path / "run", {"p": ["a", "b", "c"]})
    (folder / "report.html.part").symlink_to(outside / "mine.html")
    assert write_report(folder).stat().st_size > 1_000
    assert [path.name for path in outside.iterdir()] == ["mine.html"]
    assert (outside / "mine.html").read_text() == "mine"


def test_an_encoders_folder_names_no_code_and_no_way_out(tmp_path):
    pytest.importorskip("transformers")
    from socialrm.encoders import read_modules

    (tmp_path / "config.json").write_text("{}")
    kind = "sentence_transformers.models.Pooling"
    for modules, said in (
        ([{"type": "subprocess.Popen", "path": ""}], "run code of its own"),
        ([{"type": "evil.Module", "path": ""}], "run code of its own"),
        ([{"path": ""}], "run code of its own"),
        ([{"type": kind, "path": "../../etc"}], "leads out of its folder"),
        ([{"type": kind, "path": "/etc"}], "leads out of its folder"),
        ([{"type": kind, "path": "..\\etc"}], "leads out of its folder"),
        (["x"], "no list of modules"),
        ({"type": kind}, "no list of modules"),
    ):
        (tmp_path / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(ValueError, match=said):
            read_modules(str(tmp_path))


@pytest.mark.parametrize("rule", ["borda", "scores:3,1,0", "k_approval", "antiplurality", "bucklin", "black", "kemeny", "schulze", "random_dictator", "proportional_borda", "minimax_winning_votes", "maximal_lottery"])  # fmt: skip
def test_ten_million_tallied_voters_are_counted_exactly(rule):
    """Counts of a few rankings, by chunks, against the rule of weighted ballots: equal beyond float32's 2^24."""
    from socialrm.tallies import Tallies, order_tallies

    kinds = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    voters = np.array([4_000_001, 3_000_000, 2_999_999, 7_000_003])
    above = (kinds[:, None, :, None] < kinds[:, None, None, :]).astype(np.int64)
    places = (kinds[:, None, :, None] == np.arange(3)).astype(np.int64)
    tallies = Tallies.of(np.ones((1, 3), bool))
    for part in (voters // 2, voters - voters // 2):  # two chunks
        for n, a, p in zip(part, above, places):
            tallies.add(n * a, n * p, int(n))
    assert (
        tallies.voters == 17_000_003
        and tallies.margins[0, 0, 1] == 4_000_001 + 3_000_000 - 2_999_999 - 7_000_003
    )
    expected, found = (
        aggregate(kinds[None], rule, weights=voters[None].astype(float)),
        order_tallies(tallies, rule),
    )
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-12)
