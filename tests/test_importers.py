"""Preference data in the layouts in which it is published: small files of the true field names, and what goes wrong."""

import csv
import gzip
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from socialrm.cli import app
from socialrm.importers import LAYOUTS, import_ratings, load_any


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def orders(ballots):
    """(rater, prompt, levels) of every ballot, as texts."""
    v = ballots.vocabulary
    for completion, rank, prompt, rater in zip(
        ballots.completion, ballots.rank, ballots.prompt, ballots.rater
    ):
        levels = [sorted(v.completions[c] for c in completion[rank == k]) for k in range(rank.max() + 1)]
        yield v.raters[rater], v.prompts[prompt], levels


TRL = [
    {"prompt": "Sky?", "chosen": "Blue.", "rejected": "Green.", "annotator_id": "ann", "source": "web"},
    {"prompt": "Sky?", "chosen": "Green.", "rejected": "Blue.", "annotator_id": "bob", "source": "web"},
    {"prompt": "Sun?", "chosen": "Hot.", "rejected": "Cold.", "annotator_id": "ann", "source": "web"},
]


def conversational(row):
    say = lambda role, text: [{"role": role, "content": text}]
    answers = {n: say("assistant", row[n]) for n in ("chosen", "rejected")}
    return row | {"prompt": say("user", row["prompt"])} | answers


def implicit(row):
    messages = conversational(row)
    return {n: messages["prompt"] + messages[n] for n in ("chosen", "rejected")} | {
        "annotator_id": row["annotator_id"]
    }


@pytest.mark.parametrize(
    "form", [lambda row: row, conversational, implicit], ids=["texts", "messages", "implicit"]
)
def test_trl_forms_give_the_same_ballots(tmp_path, form):
    ballots, report = load_any(lines(tmp_path / "pairs.jsonl", map(form, TRL)))
    assert report.layout == "preferences" and report.rows == 3
    assert list(orders(ballots)) == [
        ("ann", "Sky?", [["Blue."], ["Green."]]),
        ("ann", "Sun?", [["Hot."], ["Cold."]]),
        ("bob", "Sky?", [["Green."], ["Blue."]]),
    ]


def test_a_prompt_that_messages_repeat_is_taken_off_once():
    row = conversational(TRL[0])
    repeated = row | {n: row["prompt"] + row[n] for n in ("chosen", "rejected")} | {"prompt": "Sky?"}
    assert list(orders(import_ratings([repeated])[0])) == [("ann", "Sky?", [["Blue."], ["Green."]])]


def test_equal_scores_of_a_binarised_set_are_a_tie():
    rows = [
        TRL[0] | {"score_chosen": 4.0, "score_rejected": 4.0},
        TRL[2] | {"score_chosen": 4.0, "score_rejected": 1.0},
    ]
    ballots, report = import_ratings(rows)
    assert report.tied == 1 and ballots.rank.tolist() == [[0, 0], [0, 1]]


def test_unknown_raters_are_one_each_or_left_out():
    rows = [{k: v for k, v in row.items() if k != "annotator_id"} for row in TRL]
    ballots, report = import_ratings(rows)
    assert ballots.n_raters == 3
    assert report.left_out == {"rows without a rater, each counted as one rater": 3}
    rows[0]["user"] = "ann"
    ballots, report = import_ratings([row | {"user": row.get("user")} for row in rows], unknown="leave out")
    assert ballots.vocabulary.raters == ("ann",) and report.left_out["rows without a rater"] == 2
    with pytest.raises(ValueError, match="nothing remains of 2 rows: rows without a rater: 2"):
        import_ratings(rows[1:], unknown="leave out")


def test_several_raters_of_one_row_each_get_a_ballot():
    ballots, _ = import_ratings([TRL[0] | {"annotator_id": ["ann", "bob"]}])
    assert ballots.vocabulary.raters == ("ann", "bob") and ballots.n_ballots == 2


def test_datasets_objects_folders_and_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list([conversational(row) for row in TRL])
    from_object, _ = import_ratings(data)
    data.save_to_disk(tmp_path / "saved")
    from_folder, report = load_any(tmp_path / "saved")
    assert list(orders(from_object)) == list(orders(from_folder)) and report.source == "saved"
    both = datasets.DatasetDict({"train": data, "test": data.select([0])})
    both.save_to_disk(tmp_path / "both")
    with pytest.raises(ValueError, match="has the splits train, test"):
        load_any(tmp_path / "both")
    assert load_any(tmp_path / "both", split="test")[0].n_ballots == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="none that datasets saved"):
        load_any(tmp_path / "empty")


def utterance(turn, response, score, chosen, prompt, talk="c1", user="user0"):
    return {
        "utterance_id": "ut0",
        "interaction_id": "int0",
        "conversation_id": talk,
        "user_id": user,
        "turn": turn,
        "within_turn_id": 0,
        "conversation_type": "unguided",
        "user_prompt": prompt,
        "model_response": response,
        "model_name": "m",
        "model_provider": "p",
        "score": score,
        "if_chosen": chosen,
        "included_in_balanced_subset": False,
    }


PRISM = [
    utterance(0, "a", 90, True, "Hi?"),
    utterance(0, "b", 10, False, "Hi?"),
    utterance(0, "c", 10, False, "Hi?"),
    utterance(0, "c", 12, False, "Hi?"),
    utterance(0, "d", None, False, "Hi?"),
    utterance(1, "e", 40, True, "And?"),
    utterance(1, "f", 20, False, "And?"),
    utterance(0, "g", 5, True, "Hi?", talk="c2"),
    utterance(0, "a", 4, False, "Hi?", talk="c2"),
]


def test_prism_turns_are_ballots_and_know_what_was_said_before(tmp_path):
    ballots, report = load_any(lines(tmp_path / "utterances.jsonl", PRISM))
    assert report.layout == "prism" and report.tied == 1
    assert list(orders(ballots)) == [
        ("user0", "Hi?", [["a"], ["b", "c"]]),
        ("user0", "user: Hi?\nassistant: a\nuser: And?", [["e"], ["f"]]),
        ("user0", "Hi?", [["g"], ["a"]]),
    ]
    assert report.left_out == {
        "responses with the text of another on the ballot": 1,
        "responses without a score or a text": 1,
    }


SUMMARIES = [
    {
        "info": {
            "id": "t3_1",
            "post": "Long story.",
            "title": "T",
            "subreddit": "r",
            "site": None,
            "article": None,
        },
        "split": "train",
        "summaries": [
            {"text": "Short.", "policy": "sup2", "note": None},
            {"text": "Shorter.", "policy": "ref", "note": "ok"},
        ],
        "choice": 1,
        "worker": "w7",
        "batch": "batch3",
        "extra": {"confidence": 5},
    }
]


def test_summarize_from_feedback():
    ballots, report = import_ratings(SUMMARIES)
    assert report.layout == "summaries"
    assert list(orders(ballots)) == [("w7", "Long story.", [["Shorter."], ["Short."]])]
    article = [SUMMARIES[0] | {"info": {"id": "x", "article": "News."}}]
    assert import_ratings(article)[0].vocabulary.prompts == ("News.",)
    with pytest.raises(ValueError, match=r"row 1: choice is 2: 0 or 1"):
        import_ratings([SUMMARIES[0] | {"choice": 2}])


def arena(winner, judge="arena_user_1", turns=1, **more):
    talk = lambda model: [
        m
        for t in range(turns)
        for m in ({"role": "user", "content": f"q{t}"}, {"role": "assistant", "content": f"{model}{t}"})
    ]
    row = {
        "question_id": "q",
        "model_a": "a",
        "model_b": "b",
        "winner": winner,
        "judge": judge,
        "turn": turns,
    }
    return (
        row
        | {"conversation_a": talk("a"), "conversation_b": talk("b"), "language": "English", "anony": True}
        | more
    )


def test_chatbot_arena_votes_and_ties(tmp_path):
    rows = [arena("model_b"), arena("tie (bothbad)", judge="arena_user_2"), arena("model_a", turns=2)]
    ballots, report = load_any(lines(tmp_path / "arena.jsonl", rows))
    assert report.layout == "arena" and report.tied == 1
    assert list(orders(ballots)) == [
        ("arena_user_1", "q0", [["b0"], ["a0"]]),
        (
            "arena_user_1",
            "q0",
            [["assistant: a0\nuser: q1\nassistant: a1"], ["assistant: b0\nuser: q1\nassistant: b1"]],
        ),
        ("arena_user_2", "q0", [["a0", "b0"]]),
    ]
    with pytest.raises(ValueError, match="winner is 'model_c': one of model_a"):
        import_ratings([arena("model_c")])
    other = arena("model_a")
    other["conversation_b"] = [{"role": "user", "content": "else"}, {"role": "assistant", "content": "x"}]
    assert import_ratings([arena("model_a"), other])[1].left_out == {"votes on two different prompts": 1}


def test_dices_is_one_contest_with_groups(tmp_path):
    path = tmp_path / "dices.csv"
    with path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(
            ["id", "rater_id", "rater_gender", "rater_race", "item_id", "context", "response", "Q_overall"]
        )
        for rater, race, said in (("1", "Asian", "No Yes Unsure No"), ("2", "White", "Yes Yes No Unsure")):
            for item, answer in enumerate(said.split()):
                table.writerow([0, rater, "Woman", race, item, f"talk {item}", f"reply {item}", answer])
    ballots, report = load_any(path)
    v = ballots.vocabulary
    assert report.layout == "dices" and v.groups == ("Asian", "White") and ballots.group.tolist() == [0, 1]
    reply = lambda *items: [f"talk {i}\nreply {i}" for i in items]
    assert [levels for _, _, levels in orders(ballots)] == [
        [reply(0, 3), reply(2), reply(1)],
        [reply(2), reply(3), reply(0, 1)],
    ]
    assert load_any(path, group="rater_gender")[0].vocabulary.groups == ("Woman",)


def test_files_of_any_kind_give_the_same(tmp_path):
    plain = list(orders(import_ratings(SUMMARIES)[0]))
    (tmp_path / "a.json").write_text(json.dumps(SUMMARIES))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(SUMMARIES[0]).encode()))
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.Table.from_pylist(SUMMARIES), tmp_path / "c.parquet")
    for name in ("a.json", "b.jsonl.gz", "c.parquet"):
        assert list(orders(load_any(tmp_path / name)[0])) == plain, name


def test_tables_stay_with_the_reader_and_its_messages(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ratr,prompt,chosen,rejected\nann,p,a,b\n")
    with pytest.raises(ValueError, match="unknown column 'ratr', missing column 'rater'"):
        load_any(path)
    path = lines(
        tmp_path / "t.jsonl", [{"rater": "a", "prompt": "p", "chosen": "x", "rejected": "y", "tie": "1"}]
    )
    assert load_any(path)[1].layout == "comparisons"
    path.write_text('{"rater": "a"\n')
    with pytest.raises(ValueError, match=r"t\.jsonl, line 1: not JSON"):
        load_any(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([TRL[0], TRL[1] | {"chosen": None}], "row 2: chosen or rejected is missing"),
        ([TRL[0] | {"chosen": 3}], "row 1: chosen: 3 is neither text nor a list of messages"),
        ([TRL[0] | {"chosen": [{"role": "user", "content": "x"}]}], "differ in form"),
        (
            [PRISM[0], {k: v for k, v in PRISM[1].items() if k != "score"}],
            "row 2: no 'score': prism needs user_id",
        ),
        ([PRISM[0] | {"turn": "x"}], "row 1: turn is 'x', not a finite number"),
        ([arena("tie", conversation_a=[])], "row 1: a conversation needs at least two messages"),
        ([SUMMARIES[0] | {"summaries": []}], "row 1: needs info.post or info.article, and two summaries"),
    ],
)
def test_bad_rows_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        import_ratings(rows)


def test_the_command_reads_layouts(tmp_path):
    path = lines(tmp_path / "utterances.jsonl", PRISM)
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 0 and "9 rows of prism" in result.stderr
    result = CliRunner().invoke(app, ["validate", str(path), "--layout", "arena"])
    assert result.exit_code == 2 and "line 1: no 'conversation_a': arena needs" in result.stderr


def test_every_layout_is_named_in_the_command():
    help_text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "300"}).stdout
    assert all(name in help_text for name in LAYOUTS)


def test_ballots_are_arrays_in_order():
    ballots, _ = import_ratings(TRL)
    np.testing.assert_array_equal(ballots.rater, [0, 0, 1])
