"""Readers and writers: what goes out comes back, and every kind of bad input gets one clear error."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ballots import as_lists

from socialrm.ballots import make_ballots
from socialrm.readers import read
from socialrm.writers import to_table, write_csv, write_jsonl, write_parquet, write_preflib

ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


@st.composite
def made(draw, names=ids, voters=ids):
    """Any ballots, with weights and groups now and then."""
    completions = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    raters = draw(st.lists(voters, min_size=1, max_size=3, unique=True))
    prompts = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        order = draw(st.permutations(completions))[: draw(st.integers(2, len(completions)))]
        tiers = [[order[0]]]
        for completion in order[1:]:
            tiers.append([completion]) if draw(st.booleans()) else tiers[-1].append(completion)
        rows.append(
            (draw(st.sampled_from(raters)), draw(st.sampled_from(prompts)), [sorted(t) for t in tiers])
        )
    weight = draw(st.dictionaries(st.sampled_from(raters), st.floats(0.1, 10)))
    group = draw(st.dictionaries(st.sampled_from(raters), names))
    return make_ballots(rows, weight=weight, group=group)


def told(ballots):
    """All that ballots say, by name."""
    v = ballots.vocabulary
    groups = [v.groups[g] if g >= 0 else None for g in ballots.group]
    return sorted(as_lists(ballots)), dict(zip(v.raters, zip(ballots.weight.tolist(), groups)))


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_csv, "csv"), (write_csv, "tsv"), (write_jsonl, "jsonl"), (write_parquet, "parquet")],
)
def test_round_trip(write, suffix, tmp_path):
    @given(made())
    def check(ballots):
        path = tmp_path / f"ballots.{suffix}"
        write(ballots, path)
        back, report = read(path)
        assert told(back) == told(ballots)
        assert not report.left_out and report.ballots == ballots.n_ballots

    check()


@given(made())
def test_round_trip_in_memory(ballots):
    assert told(read(to_table(ballots))[0]) == told(ballots)


plain = st.text("abcdef {},:#\"'", min_size=1, max_size=6).filter(lambda s: s == s.strip())


@given(made(plain, ids))
@settings(max_examples=60)
def test_round_trip_through_preflib(tmp_path_factory, ballots):
    ballots = make_ballots([row for row in as_lists(ballots) if row[1] == as_lists(ballots)[0][1]])
    kinds = {}
    folder = tmp_path_factory.mktemp("preflib")
    for suffix in ("soc", "soi", "toc", "toi"):
        try:
            write_preflib(ballots, folder / f"x.{suffix}")
            kinds[suffix] = read(folder / f"x.{suffix}")[0]
        except ValueError as error:
            assert f"x.{suffix}: these ballots are" in str(error)
    (back,) = kinds.values()
    assert sorted(row[1:] for row in as_lists(back)) == sorted(row[1:] for row in as_lists(ballots))


CSV = "rater,prompt,completion,rank\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CSV + "r,p,a,1\nr,p,b,2\nr,p,c,7\n", [["a"], ["b"], ["c"]]),
        (CSV + "r,p,a,0\nr,p,b,0\nr,p,c,-1.5\n", [["c"], ["a", "b"]]),
        (CSV.replace("rank", "score") + "r,p,a,0\nr,p,b,0\nr,p,c,-1.5\n", [["a", "b"], ["c"]]),
        (CSV.replace("\n", "\r\n") + "r,p,a, 1 \r\n\r\nr,p,b,2e0\r\n", [["a"], ["b"]]),
        ("\ufeff" + CSV + 'r,p,"a, or ""A""\nindeed",1\nr,p,b,2\n', [['a, or "A"\nindeed'], ["b"]]),
        ("rank,completion,rater,prompt\n1,a,r,p\n2,b,r,p", [["a"], ["b"]]),
        ("rater,prompt,chosen,rejected\nr,p,a,b\n", [["a"], ["b"]]),
        ("rater,prompt,chosen,rejected,tie\nr,p,a,b,yes\n", [["a", "b"]]),
        ("rater,prompt,chosen,rejected,tie\nr,p,a,b,\n", [["a"], ["b"]]),
    ],
)
def test_layouts(text, expected, tmp_path):
    (tmp_path / "x.csv").write_text(text, newline="")
    assert as_lists(read(tmp_path / "x.csv")[0]) == [("r", "p", expected)]


def test_ids_that_look_like_numbers_or_dates_stay_text(tmp_path):
    (tmp_path / "x.csv").write_text(CSV + "007,2020-01-01,1e3,1\n007,2020-01-01,NA,2\n")
    (tmp_path / "x.jsonl").write_text(
        '{"rater":"007","prompt":"2020-01-01","completion":"1e3","rank":1}\n\n'
        '{"rater":"007","prompt":"2020-01-01","completion":"NA","rank":2}\n'
    )
    for name in ("x.csv", "x.jsonl"):
        assert as_lists(read(tmp_path / name)[0]) == [("007", "2020-01-01", [["1e3"], ["NA"]])]


def test_json_numbers_as_ids_and_booleans_as_ties(tmp_path):
    rows = [
        {"rater": 1, "prompt": "p", "chosen": 10, "rejected": 20, "tie": tie} for tie in (True, False, None)
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert as_lists(read(tmp_path / "x.jsonl")[0]) == [
        ("1", "p", [["10", "20"]]),
        ("1", "p", [["10"], ["20"]]),
        ("1", "p", [["10"], ["20"]]),
    ]
    assert as_lists(read(rows)[0]) == as_lists(read(tmp_path / "x.jsonl")[0])


def test_compressed_file_and_tables_in_memory(tmp_path):
    text = CSV + "r,p,a,1\nr,p,b,2\n"
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text.encode()))
    columns = {"rater": ["r", "r"], "prompt": ["p", "p"], "completion": ["a", "b"], "rank": [1, 2]}
    expected = [("r", "p", [["a"], ["b"]])]
    assert as_lists(read(tmp_path / "x.csv.gz")[0]) == expected
    assert as_lists(read(str(tmp_path / "x.csv.gz"))[0]) == expected
    assert as_lists(read(columns)[0]) == expected
    assert as_lists(read(pa.table(columns))[0]) == expected
    pandas = pytest.importorskip("pandas")
    assert as_lists(read(pandas.DataFrame(columns))[0]) == expected


def test_several_ballots_of_one_rater_on_one_prompt():
    rows = [("r", "p", c, k, b) for b in (1, 2) for k, c in enumerate("ab" if b == 1 else "ba")]
    table = dict(zip(("rater", "prompt", "completion", "rank", "ballot"), zip(*rows)))
    assert as_lists(read(table)[0]) == [("r", "p", [["a"], ["b"]]), ("r", "p", [["b"], ["a"]])]


def test_unranked_last():
    table = [
        {"rater": r, "prompt": p, "completion": c, "rank": k}
        for r, p, order in (("x", "p", "abc"), ("y", "p", "cb"), ("z", "p", "d"), ("z", "q", "ab"))
        for k, c in enumerate(order)
    ]
    ballots, report = read(table)
    assert report.left_out == {"ballots of one completion": 1, "completions without another ballot": 1}
    ballots, report = read(table, unranked="last")
    assert as_lists(ballots) == [
        ("x", "p", [["a"], ["b"], ["c"], ["d"]]),
        ("y", "p", [["c"], ["b"], ["a", "d"]]),
        ("z", "p", [["d"], ["a", "b", "c"]]),
        ("z", "q", [["a"], ["b"]]),
    ]
    assert not report.left_out and report.tied == 2
    with pytest.raises(ValueError, match="'unknown' or 'last'"):
        read(table, unranked="first")
    with pytest.raises(ValueError, match="comparisons leave the rest unknown"):
        read({"rater": ["x"], "prompt": ["p"], "chosen": ["a"], "rejected": ["b"]}, unranked="last")


def test_ballots_of_one_are_counted(tmp_path):
    (tmp_path / "x.csv").write_text(CSV + "r,p,a,1\nr,p,b,2\ns,p,a,1\ns,q,c,1\nr,q,d,1\n")
    ballots, report = read(tmp_path / "x.csv")
    assert ballots.n_ballots == 1 and ballots.vocabulary.completions == ("a", "b")
    assert report.left_out == {
        "ballots of one completion": 3,
        "raters without another ballot": 1,
        "prompts without another ballot": 1,
        "completions without another ballot": 2,
    }
    assert "left out: ballots of one completion: 3, raters without another ballot: 1" in str(report)


PAIRS = "rater,prompt,chosen,rejected"
BAD = {
    "empty file": ("", "is empty: it needs a header"),
    "blank file": ("\n \n", "is empty: it needs a header"),
    "header only": (CSV, "is empty: it has a header but no row"),
    "header without a line break": (CSV[:-1], "is empty: it has a header but no row"),
    "misspelt column": (
        "rater,prompt,completion,ranking\nr,p,a,1\n",
        "unknown column 'ranking', missing column 'rank'",
    ),
    "unknown column": (CSV[:-1] + ",note\nr,p,a,1,x\n", "unknown column 'note': ranks need rater, prompt"),
    "missing column": ("rater,completion,rank\nr,a,1\n", "missing column 'prompt'"),
    "wrong delimiter": (
        CSV.replace(",", ";") + "r;p;a;1\n",
        "the header is one column, 'rater;prompt;completion;rank': separate",
    ),
    "column twice": (
        "rater,prompt,completion,rank,rank\nr,p,a,1,1\n",
        "column 'rank' comes twice in the header",
    ),
    "rank and score": (CSV[:-1] + ",score\nr,p,a,1,1\n", "mixed formats, 'rank' beside 'score'"),
    "rank and chosen": (CSV[:-1] + ",chosen\nr,p,a,1,a\n", "mixed formats, 'chosen' beside 'rank'"),
    "too many fields": (CSV + "r,p,a,1\nr,p,b,c,2\n", "line 3: 5 fields where the header has 4"),
    "too few fields": (CSV + '"r\nr",p,a,1\nr,p,2\n', "line 4: 3 fields where the header has 4"),
    "no rater": (CSV + "r,p,a,1\n,p,b,2\n", "line 3: rater is missing"),
    "no completion": (CSV + 'r,p,"",1\nr,p,b,2\n', "line 2: completion is missing"),
    "rank is text": (CSV + "r,p,a,1\n\n\nr,p,b,best\n", "line 5: rank is 'best', not a finite number"),
    "rank is missing": (CSV + 'r,p,"a\na",1\nr,p,b,\n', "line 4: rank is missing: correct it or remove"),
    "score is NaN": (
        "rater,prompt,completion,score\nr,p,a,1\nr,p,b,nan\n",
        "line 3: score is 'nan', not a finite",
    ),
    "score is infinite": (
        "rater,prompt,completion,score\nr,p,a,inf\nr,p,b,1\n",
        "line 2: score is 'inf', not a finite",
    ),
    "completion twice": (
        CSV + "r,p,a,1\nr,p,b,2\nr,p,a,1\n",
        r"line 4: 'a' is on this ballot twice \(also line 2\)",
    ),
    "contradictory ranks": (
        CSV + "r,p,a,1\nr,p,b,2\nr,p,a,3\n",
        r"line 4: contradictory ranks for 'a'.*\(also line 2\)",
    ),
    "beats itself": (PAIRS + "\nr,p,a,b\nr,p,a,a\n", "line 3: 'a' is both chosen and rejected"),
    "no such tie": (PAIRS + ",tie\nr,p,a,b,perhaps\n", "line 2: tie is 'perhaps': write 1 or 0"),
    "negative weight": (
        CSV[:-1] + ",weight\nr,p,a,1,-2\nr,p,b,2,-2\n",
        "line 2: weight is -2: a weight is 0 or more",
    ),
    "weight is text": (CSV[:-1] + ",weight\nr,p,a,1,x\n", "line 2: weight is 'x', not a finite number"),
    "weights all 0": (CSV[:-1] + ",weight\nr,p,a,1,0\nr,p,b,2,0\n", "all weights are 0"),
    "weight changes": (
        CSV[:-1] + ",weight\nr,p,a,1,1\ns,p,a,1,2\nr,p,b,2,2\n",
        "line 4: weight is 2 but was 1 at line 2",
    ),
    "group changes": (
        CSV[:-1] + ",group\nr,p,a,1,x\nr,p,b,2,\n",
        "line 3: group is '' but was 'x' at line 2",
    ),
    "only ballots of one": (
        CSV + "r,p,a,1\ns,p,a,1\n",
        "nothing remains, each of the 2 ballots ranks one completion",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_csv(case, tmp_path):
    text, message = BAD[case]
    (tmp_path / "ratings.csv").write_text(text, newline="")
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / "ratings.csv")
    assert "ratings.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "soc"])
def test_wrong_encoding(suffix, tmp_path):
    (tmp_path / f"x.{suffix}").write_bytes((CSV + "r,p,café,1\n").encode("latin-1"))
    with pytest.raises(ValueError, match=f"x.{suffix}, line 2: byte 0xe9 is not UTF-8"):
        read(tmp_path / f"x.{suffix}")


JSON_ROW = '{"rater":"r","prompt":"p","completion":"a","rank":1}\n'
BAD_JSON = {
    "not JSON": (JSON_ROW + '{"rater":"r",\n', "line 2: not JSON"),
    "not an object": (JSON_ROW + "[1, 2]\n", "line 2: not a flat JSON object"),
    "one array": ("[" + JSON_ROW.strip() + "]", "line 1: not a flat JSON object"),
    "nested": (JSON_ROW.replace('"a"', '{"text": "a"}'), "line 1: not a flat JSON object"),
    "mixed formats": (
        JSON_ROW + '\n{"rater":"r","prompt":"p","chosen":"a","rejected":"b"}',
        "line 3: mixed formats",
    ),
    "mixed ranks": (
        JSON_ROW + JSON_ROW.replace("rank", "score"),
        "line 2: mixed formats, 'rank' beside 'score'",
    ),
    "rank missing": (JSON_ROW + JSON_ROW.replace(',"rank":1', ""), "line 2: rank is missing"),
    "NaN": (JSON_ROW.replace("1", "NaN"), "line 1: rank is 'NaN', not a finite number"),
    "boolean id": (JSON_ROW + JSON_ROW.replace('"a"', "null"), "line 2: completion is missing"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_lines(case, tmp_path):
    text, message = BAD_JSON[case]
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(ValueError, match=f"x.jsonl, {message}"):
        read(tmp_path / "x.jsonl")


SOC = """# TITLE: t
# NUMBER ALTERNATIVES: 3
# NUMBER VOTERS: 3
# NUMBER UNIQUE ORDERS: 2
# ALTERNATIVE NAME 1: one
# ALTERNATIVE NAME 2: two
# ALTERNATIVE NAME 3: three
2: 1,2,3
1: {2, 3}, 1
"""


def test_preflib(tmp_path):
    (tmp_path / "x.toc").write_text(SOC)
    ballots, report = read(tmp_path / "x.toc")
    assert as_lists(ballots) == [
        ("1", "t", [["one"], ["two"], ["three"]]),
        ("2", "t", [["one"], ["two"], ["three"]]),
        ("3", "t", [["three", "two"], ["one"]]),
    ]
    assert report.tied == 1
    (tmp_path / "x.toc").write_text(SOC.replace("1: {2, 3}, 1", "1: 1,2,3"))
    assert read(tmp_path / "x.toc")[0].n_ballots == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# NUMBER VOTERS: 3\n", "", "no PrefLib header"),
        ("VOTERS: 3", "VOTERS: 4", "the orders count 3 voters, the header 4"),
        ("2: 1,2,3", "2: 1,2,x", "line 8: '2: 1,2,x' is no order"),
        ("2: 1,2,3", "2: 1,{2,3", "line 8: '2: 1,{2,3' is no order"),
        ("2: 1,2,3", "2: 1,2,4", "line 8: alternative 4 has no name"),
        ("2: 1,2,3", "2: 1,2,1", "line 8: alternative 1 comes twice on one ballot"),
    ],
)
def test_bad_preflib(old, new, message, tmp_path):
    (tmp_path / "x.toc").write_text(SOC.replace(old, new))
    with pytest.raises(ValueError, match=f"x.toc.*{message}"):
        read(tmp_path / "x.toc")


def test_bad_files(tmp_path):
    (tmp_path / "x.xls").write_bytes(b"x")
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "x.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for name, message in (
        ("x.xls", "unknown kind of file '.xls': give .csv"),
        ("x", "unknown kind of file ''"),
        ("x.csv.gz", "x.csv.gz is not a whole gzip file"),
        ("x.parquet", "x.parquet is not a Parquet file"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.csv")


def test_bad_tables():
    columns = {
        "rater": ["r", "r"],
        "prompt": ["p", "p"],
        "completion": ["a", "b"],
        "rank": [1.0, float("nan")],
    }
    with pytest.raises(ValueError, match="table, row 2: rank is nan, not a finite number"):
        read(columns)
    with pytest.raises(ValueError, match="table, row 1: rater is .*: ids are text or whole numbers"):
        read(columns | {"rater": [["r"], ["r"]]})
    with pytest.raises(ValueError, match="table, row 1: completion is 0.5: ids are text"):
        read(columns | {"completion": [0.5, 1.5]})


def test_parquet_with_dictionary_columns(tmp_path):
    column = pa.array(["r", "r"]).dictionary_encode()
    table = pa.table({"rater": column, "prompt": [1, 1], "completion": ["a", "b"], "score": [2.0, 1.0]})
    pa_parquet.write_table(table, tmp_path / "x.parquet")
    assert as_lists(read(tmp_path / "x.parquet")[0]) == [("r", "1", [["a"], ["b"]])]


def test_preflib_refuses_what_it_cannot_say(tmp_path):
    two = make_ballots([("r", "p", "ab"), ("r", "q", "ab")])
    with pytest.raises(ValueError, match="holds one prompt: give prompt="):
        write_preflib(two, tmp_path / "x.soc")
    write_preflib(two, tmp_path / "x.soc", prompt="q")
    assert read(tmp_path / "x.soc")[0].vocabulary.prompts == ("q",)
    with pytest.raises(ValueError, match="PrefLib has no weights"):
        write_preflib(make_ballots([("r", "p", "ab")], weight={"r": 2.0}), tmp_path / "x.soc")
    with pytest.raises(ValueError, match="is no PrefLib name"):
        write_preflib(make_ballots([("r", "p\nq", "ab")]), tmp_path / "x.soc")
    with pytest.raises(ValueError, match="these ballots are soc: name the file .soc"):
        write_preflib(make_ballots([("r", "p", "ab")]), tmp_path / "x.toi")


def test_a_million_rows(tmp_path):
    """100,000 raters, 10 places each; the same count comes back."""
    rng = np.random.default_rng(0)
    n, m = 100_000, 10
    table = pa.table(
        {
            "rater": np.repeat(np.arange(n), m),
            "prompt": np.repeat(rng.integers(0, 50, n), m),
            "completion": np.tile(np.arange(m), n),
            "rank": rng.random((n, m)).argsort(1).ravel(),
        }
    )
    ballots, report = read(table)
    assert report.rows == 1_000_000 and ballots.n_ballots == n
    np.testing.assert_array_equal(np.argsort(ballots.completion, 1).ravel(), table["rank"].to_numpy())


pieces = st.sampled_from(
    [
        "rater",
        "prompt",
        "completion",
        "rank",
        "score",
        "chosen",
        "rejected",
        "tie",
        "weight",
        "r",
        "a",
        "b",
        "1",
        "2",
        "nan",
    ]
    + [
        ",",
        "\t",
        "\n",
        "\r\n",
        '"',
        "{",
        "}",
        ":",
        "[",
        "]",
        "# ",
        " ",
        "é",
        "\0",
        "1e400",
        "null",
        "true",
        CSV,
        JSON_ROW,
        SOC,
    ]
)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "soi", "parquet", "csv.gz"])
def test_any_file_reads_or_says_why_not(suffix, tmp_path):
    @given(st.lists(pieces, max_size=25).map("".join) | st.binary(max_size=40))
    @settings(max_examples=300)
    def check(content):
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / f"x.{suffix}").write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
        try:
            ballots, report = read(tmp_path / f"x.{suffix}")
        except ValueError as error:
            assert f"x.{suffix}" in str(error), error
        else:
            assert ballots.n_ballots == report.ballots > 0

    check()
