"""Input that somebody made to do harm: formulas, HTML, pickles, links, paths, numbers beyond all measure."""

import csv
import io
import json
import pickle
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
