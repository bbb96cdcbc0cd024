"A run over shards: the same raters, read a window at a time."

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from socialrm.aggregation import aggregate
from socialrm.density import DensityConfig
from socialrm.individual import IndividualConfig
from socialrm.pipeline import RunConfig, run
from socialrm.populations import tennessee
from socialrm.runs import load
from socialrm.shell import load_ratings
from socialrm.social import SocialConfig
from socialrm.streams import Stream, write_shards
from socialrm.training import Optimisation

grain = pytest.importorskip("grain")
SHORT = RunConfig(
    rule="schulze",
    compare=("borda", "irv"),
    voters=500,
    resamples=20,
    individual=IndividualConfig(optimisation=Optimisation(steps=60, chunk=20)),
    density=DensityConfig(most=4),
    social=SocialConfig(optimisation=replace(SocialConfig().optimisation, steps=200)),
)


@pytest.fixture(scope="module")
def ballots():
    return tennessee(600, key=jax.random.key(0)).ballots


@pytest.fixture(scope="module")
def folder(ballots, tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "shards"
    write_shards(ballots, path, group=100)
    return path


@pytest.fixture(scope="module")
def streamed(folder, tmp_path_factory):
    "A run over the shards, two hundred raters of six hundred in memory."
    out = tmp_path_factory.mktemp("streams") / "run"
    return run(Stream.open(folder, looked=200), SHORT, out=out), out


def test_all_raters_are_counted(streamed, ballots):
    "Raters who ranked everything are completed to what they said: the order is known."
    found, _ = streamed
    for contest in range(2):
        ranks = ballots.profile(contest)
        for rule in ("schulze", "borda"):
            np.testing.assert_array_equal(
                found.orders[rule].ranks[contest], aggregate(ranks[None], rule).ranks[0]
            )
        beats = (ranks[:, :, None] < ranks[:, None, :]).mean(axis=0)
        np.testing.assert_allclose(found.margins[contest], beats - beats.T, atol=1e-12)


def test_the_folder_says_what_was_read(streamed):
    found, out = streamed
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["n_raters"], metrics["n_ballots"]) == (600, 1_200)
    assert any("600 raters were read from shards" in warning for warning in metrics["warnings"])
    assert metrics["held_out"]["raters"] > 0 and found.support is not None
    assert (out / "report.html").stat().st_size > 10_000
    cities = found.contests.names(0)
    prompt = found.contests.vocabulary.prompts[0]
    scored = load(out).score([prompt] * 4, cities)
    assert (np.argsort(-scored) == np.argsort(found.order.ranks[0])).all()


def test_the_same_bits_again_and_another_sample_of_shards_is_another_run(streamed, folder, ballots, tmp_path):
    found, out = streamed
    again = run(Stream.open(folder, looked=200), SHORT, out=out)  # read back
    np.testing.assert_array_equal(again.social.score(), found.social.score())
    other = tmp_path / "others"
    write_shards(ballots.subset(np.arange(599, -1, -1)), other, group=100)
    with pytest.raises(ValueError, match="other data"):
        run(Stream.open(other, looked=200), SHORT, out=out)


def test_shards_are_told_from_a_data_set(folder, tmp_path):
    stream, report = load_ratings(str(folder), stream=True)
    assert report is None and stream.n_raters == 600
    with pytest.raises(ValueError, match="`socialrm run` alone"):
        load_ratings(str(folder))
    with pytest.raises(ValueError, match="reads whole rankings"):
        run(stream, replace(SHORT, rule="irv"), out=tmp_path / "run")
    assert not Path(tmp_path / "run").exists()


@pytest.mark.parametrize(
    "damage, says", [("pairs", "another pairs.json"), ("schema", "write it with"), ("one", "at least two")]
)
def test_broken_shards_are_refused(ballots, tmp_path, damage, says):
    write_shards(ballots, tmp_path / "s", group=600 if damage == "one" else 100)
    if damage == "pairs":
        table = json.loads((tmp_path / "s" / "pairs.json").read_text())
        (tmp_path / "s" / "pairs.json").write_text(json.dumps(table | {"pairs": table["pairs"][:3]}))
    if damage == "schema":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"rater": [1, 2]}), tmp_path / "s" / "extra.parquet")
    with pytest.raises(ValueError, match=says):
        Stream.open(tmp_path / "s")


def damaged(raw, rng):
    "The bytes of a file after an accident."
    raw, at = bytearray(raw), rng.randrange(len(raw))
    kind = rng.choice(["cut", "empty", "flipped", "inserted", "null"])
    if kind == "flipped":
        for _ in range(rng.choice([1, 5, 40])):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    elif kind == "inserted":
        raw[at:at] = rng.randbytes(20)
    elif kind == "null":
        raw = raw.replace(
            rng.choice([b"0", b"1", b"[", b'"']), rng.choice([b"null", b"-1", b"1e30", b"9" * 20]), 1
        )
    else:
        raw = raw[: at if kind == "cut" else 0]
    return bytes(raw)


def test_damaged_files_are_refused_with_one_kind_of_error(folder, tmp_path):
    rng, outcomes = random.Random(0), set()
    for number in range(120):
        shards = tmp_path / str(number)
        shutil.copytree(folder, shards)
        path = rng.choice(sorted(shards.iterdir()))
        path.write_bytes(damaged(path.read_bytes(), rng))
        try:
            Stream.open(shards)
            outcomes.add("opened")
        except Exception as error:
            assert type(error) is ValueError, repr(error)
            outcomes.add("refused")
        shutil.rmtree(shards)
    assert outcomes == {"opened", "refused"}  # what is flipped inside a column may be another valid ballot
