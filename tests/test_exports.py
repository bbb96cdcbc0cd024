"""What a run writes is taken by other tools as it is: TRL's trainers, PrefLib, pref_voting; and it names no rater."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from short_run import short
from typer.testing import CliRunner

from socialrm.ballots import make_ballots
from socialrm.cli import app
from socialrm.exports import simulated_profiles, to_dataset, to_pref_voting, write_raters
from socialrm.pipeline import run
from socialrm.readers import read
from socialrm.runs import load
from socialrm.writers import write_csv

pytestmark = pytest.mark.trains

SHORT = short(voters=200)


def ballots(n=60):
    """Two kinds of raters with names that nobody could mistake, in two groups, over four answers."""
    orders = ["plain", "kind", "long", "rude"], ["kind", "plain", "rude", "long"]
    rows = [
        (f"rater-{i}@example.org", f"Question {p}?", orders[i % 3 == 0]) for i in range(n) for p in range(2)
    ]
    return make_ballots(rows, group={f"rater-{i}@example.org": "ab"[i % 3 == 0] for i in range(n)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    run(ballots(), SHORT, out=out)
    return out


def test_no_file_names_a_rater(folder):
    for path in folder.rglob("*"):
        assert path.is_dir() or b"example.org" not in path.read_bytes(), path
    with np.load(folder / "voters.npz") as arrays:
        assert "rater" not in arrays.files


def test_raters_are_pseudonyms_unless_asked_otherwise(folder, tmp_path):
    write_csv(ballots(), tmp_path / "ratings.csv")
    options = ["raters", str(folder), str(tmp_path / "ratings.csv"), "--to", str(tmp_path / "raters.csv")]
    tables = {}
    for named in ([], ["--named"]):
        result = CliRunner().invoke(app, [*options, *named])
        assert result.exit_code == 0, result.stderr
        tables[bool(named)] = (tmp_path / "raters.csv").read_text().splitlines()[1:]
    rows = {named: [row.split(",", 1) for row in table] for named, table in tables.items()}
    assert [row[0] for row in rows[False]] == [f"rater {i + 1}" for i in range(len(rows[True]))]
    assert rows[True][0][0] == "rater-0@example.org" and "example.org" not in "".join(tables[False])
    assert sorted(row[1] for row in rows[False]) == sorted(row[1] for row in rows[True])
    assert [row[1] for row in rows[False]] != [row[1] for row in rows[True]]
    with pytest.raises(ValueError, match="not the ratings that the run was trained on"):
        other = make_ballots([("ann", "Tea?", ["green", "black"])])
        write_raters(load(folder), other, tmp_path / "x.csv", rng=np.random.default_rng(0))


def test_groups_have_their_welfare(folder):
    rows = (folder / "group_welfare.csv").read_text().splitlines()
    assert rows[0] == "rule,group,welfare,worst_off" and len(rows) == 1 + 2 * 6
    winners = [line.split(",")[:3] for line in (folder / "rule_impact.csv").read_text().splitlines()[1:]]
    differ = {p for p, _, w in winners if {v for q, _, v in winners if q == p} != {w}}
    served = folder / "group_impact.csv"
    found = served.read_text().splitlines()[1:] if served.exists() else []
    assert {line.split(",")[0] for line in found} == differ


def test_support_is_in_the_files(folder):
    rows = (folder / "social_orders.csv").read_text().splitlines()
    assert rows[0] == "prompt,completion,rank,score,support,raters,monte_carlo_error"
    found = json.loads((folder / "metrics.json").read_text())["support"]
    assert (found["resamples"], found["trainings"], found["pairs"]) == (200, 1, 12)
    lines = (folder / "social_pairs.jsonl").read_text().splitlines()
    assert len(lines) == 12 - found["undecided_pairs"]


def test_three_trainings_and_the_smaller_support_counts(tmp_path):
    one = run(ballots(), SHORT)
    three = run(ballots(), replace(SHORT, seeds=3), out=tmp_path / "run")
    np.testing.assert_array_equal(one.order.ranks, three.order.ranks)
    assert three.support.trainings == 3
    assert set(np.unique(three.support.seeds.round(6))) <= {0.0, 0.333333, 0.666667, 1.0}
    np.testing.assert_array_equal(three.support.pairs, np.minimum(three.support.raters, three.support.seeds))
    assert (three.support.pairs <= one.support.pairs).all()
    with (tmp_path / "run" / "social_orders.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["support"]]
    assert rows and all(
        float(row["support"]) == min(float(row["raters"]), float(row["seeds"])) for row in rows
    )
    assert "in how many of 3 trainings, whichever is smaller" in (tmp_path / "run/report.html").read_text()


def test_a_simulated_electorate_has_support_too():
    found = run(ballots(), replace(SHORT, electorate="simulated", resamples=40))
    held = found.support.raters[:, np.arange(4)[:, None], np.arange(4)]
    assert found.support.resamples == 40 and (held >= 0).all() and (held <= 1).all() and not found.welfare


def test_profiles_for_preflib_and_pref_voting(folder, tmp_path):
    contests, ranks = simulated_profiles(folder, voters=50)
    assert len(ranks) == 2 and ranks[0].shape == (50, 4)
    path = tmp_path / "question.soc"
    options = ["profile", str(folder), "--to", str(path), "--voters", "50", "--prompt", "Question 1?"]
    assert CliRunner().invoke(app, options).exit_code == 0
    again, _ = read(path)
    assert again.n_raters == 50 and set(again.vocabulary.completions) == set(contests.names(1))
    pytest.importorskip("pref_voting")
    there = to_pref_voting(ranks[0], contests.names(0))
    ahead = (ranks[0][:, 0] < ranks[0][:, 1]).sum()
    assert there.num_voters == 50 and there.support(0, 1) == ahead


def test_the_command_writes_a_data_set(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    result = CliRunner().invoke(
        app, ["export", str(folder), "--to", str(tmp_path / "pairs"), "--conversational"]
    )
    assert result.exit_code == 0, result.stderr
    data = datasets.load_from_disk(str(tmp_path / "pairs"))
    assert {"prompt", "chosen", "rejected", "margin", "share", "support"} == set(data.column_names)
    assert data[0]["prompt"][0]["role"] == "user" and 0 <= min(data["margin"]) <= max(data["margin"]) <= 1
    result = CliRunner().invoke(app, ["export", str(folder), "--to", str(tmp_path / "pairs")])
    assert result.exit_code == 2 and "is not empty" in result.stderr
    result = CliRunner().invoke(
        app, ["export", str(folder), "--to", str(tmp_path / "x"), "--min-support", "0.5"]
    )
    assert result.exit_code == 2 and "run again with --min-support 0.5" in result.stderr


@pytest.fixture(scope="module")
def tokenizer():
    """Words of the pairs, made here: nothing is fetched."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = "<pad> <unk> <eos> Question 0 1 ? plain kind long rude".split()
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "<eos>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)


def tiny(kind, tokenizer, **more):
    """A transformer of random weights, small enough to train on a CPU in a second."""
    import transformers

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"num_key_value_heads": 2, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return getattr(transformers, kind)(transformers.LlamaConfig(**sizes, **more))


def settings(folder):
    common = {"output_dir": str(folder), "max_steps": 3, "per_device_train_batch_size": 2, "use_cpu": True}
    return common | {"report_to": "none", "save_strategy": "no", "logging_steps": 1, "bf16": False, "seed": 0}


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("margin", [True, False])
def test_trl_trains_a_reward_model_on_the_export(folder, tokenizer, tmp_path, margin):
    trl = pytest.importorskip("trl")
    data = to_dataset(folder, margin=margin)
    model = tiny("LlamaForSequenceClassification", tokenizer, num_labels=1)
    before = model.score.weight.detach().clone()
    trainer = trl.RewardTrainer(
        model=model,
        args=trl.RewardConfig(**settings(tmp_path)),
        train_dataset=data,
        processing_class=tokenizer,
    )
    assert ("margin" in trainer.train_dataset.column_names) == margin
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert trainer.state.global_step == 3 and np.isfinite(losses).all()
    assert not np.array_equal(before.numpy(), trainer.model.score.weight.detach().cpu().numpy())


@pytest.mark.filterwarnings("ignore")  # theirs
def test_trl_trains_a_policy_on_the_export(folder, tokenizer, tmp_path):
    trl = pytest.importorskip("trl")
    model = tiny("LlamaForCausalLM", tokenizer)
    trainer = trl.DPOTrainer(
        model=model,
        ref_model=tiny("LlamaForCausalLM", tokenizer),
        args=trl.DPOConfig(**settings(tmp_path)),
        train_dataset=to_dataset(folder),
        processing_class=tokenizer,
    )
    trainer.train()
    assert trainer.state.global_step == 3
