"""Data sets have the sizes that their sources state, and files are checked wherever they come from."""

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from socialrm import downloads
from socialrm.datasets import NAMES, available, describe, load
from socialrm.downloads import SHA256, URLS, fetch

# raters, ballots, prompts, completions, ballots with ties
SIZES = {
    "agh-2003": (146, 146, 1, 9, 0),
    "agh-2004": (153, 153, 1, 7, 0),
    "apa-1998": (18_723 - 3_743, 14_980, 1, 5, 0),
    "breakfast": (41, 246, 6, 15, 0),
    "dots-3": (795, 795, 1, 4, 0),
    "dots-5": (794, 794, 1, 4, 0),
    "dots-7": (800, 800, 1, 4, 0),
    "dots-9": (794, 794, 1, 4, 0),
    "glasgow-calton": (5_199 - 1_278, 3_921, 1, 10, 0),
    "glasgow-partick": (12_744 - 2_510, 10_234, 1, 9, 0),
    "irish-dublin-north": (43_942 - 1_688, 42_254, 1, 12, 0),
    "jester-complete": (1_473, 1_473, 1, 100, 1_473),
    "jester5k": (5_000, 5_000, 1, 100, 4_978),
    "mtbench": (65, 3_355, 160, 6, 780),
    "puzzle-11": (793, 793, 1, 4, 0),
    "puzzle-5": (795, 795, 1, 4, 0),
    "puzzle-7": (795, 795, 1, 4, 0),
    "puzzle-9": (797, 797, 1, 4, 0),
    "skate-euros": (9, 9, 1, 30, 3),
    "skate-olympics": (9, 9, 1, 24, 1),
    "squality": (4, 300, 100, 300, 0),
    "ukpconvarg1": (3_815, 84_445, 32, 1_052, 19_105),
}


def loaded(name):
    """The data set, or a skipped test where its files are not here."""
    if not available(name):
        pytest.skip(f"files of {name} are not in SOCIALRM_DATA_DIR")
    return load(name)


def test_every_name_is_tested():
    assert set(SIZES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sizes(name):
    ballots = loaded(name)
    v = ballots.vocabulary
    tied = (ballots.rank.max(1) + 1 < ballots.mask.sum(1)).sum()
    assert (ballots.n_raters, ballots.n_ballots, len(v.prompts), len(v.completions), tied) == SIZES[name]
    for ids, texts in ((v.prompts, v.prompt_texts), (v.completions, v.completion_texts)):
        assert texts is None or (len(texts) == len(ids) and all(texts))
    assert describe(name).startswith(f"{name}: ")


def test_breakfast_is_complete_and_joined():
    ballots = loaded("breakfast")
    v = ballots.vocabulary
    assert v.raters[0] == "respondent 2" and v.raters[-1] == "respondent 42"
    assert (np.bincount(ballots.rater) == 6).all() and ballots.mask.all()
    first = ballots.completion[ballots.prompt == 0][0]
    assert [v.completions[c] for c in first[:3]] == ["Danish pastry", "Coffee cake", "Jelly donut"]
    # respondents 1, 3, ... are students; the first is not among those who are linked
    assert [v.groups[g] for g in ballots.group[:3]] == ["wife", "student", "wife"]


def test_breakfast_irregularities():
    """Each .soc begins with a ballot that the .csv lacks; on the fifth situation they disagree on one more."""
    ballots = loaded("breakfast")
    for prompt in range(6):
        soc = fetch(f"preflib/00035_breakfast/00035-0000000{prompt + 2}.soc")
        orders = re.findall(r"^(\d+): (\S+)$", soc.read_text(), re.MULTILINE)
        counts = {order: int(count) for count, order in orders}
        assert sum(counts.values()) == 42
        for row in ballots.completion[ballots.prompt == prompt] + 1:
            order = ",".join(map(str, row))
            counts[order] -= 1
        left = [count for count in counts.values() if count]
        assert counts[orders[0][1]] == 1
        assert sorted(left) == ([-1, 1, 1] if prompt == 4 else [1])
    for prompt in (3, 4):
        same = ballots.completion[(ballots.prompt == prompt) & np.isin(ballots.rater, [31, 32])]
        assert (same[0] == same[1]).all()


def test_ukp_votes_ties_and_texts():
    ballots = loaded("ukpconvarg1_crowd")
    v = ballots.vocabulary
    votes = np.bincount(ballots.rater)
    assert (votes.min(), np.median(votes), votes.max()) == (1, 6, 4_218)
    assert "plastic" in v.text_of_prompts()[0] and "_" not in v.text_of_prompts()[0]
    assert v.text_of_completions()[v.completions.index("arg219206")].startswith("Americans spend billions")


def test_squality_ranks_the_human_summary_first_most_often():
    ballots = loaded("squality")
    firsts = [ballots.vocabulary.completions[c].split("/")[2] for c in ballots.completion[:, 0]]
    assert firsts.count("human") > 150
    assert ballots.vocabulary.prompt_texts[0] == "What is the plot of the story?"


def test_jester_scores_become_ranks():
    ballots = loaded("jester-complete")
    assert ballots.mask.all()
    everyone = loaded("jester5k")
    np.testing.assert_array_equal(np.sort(everyone.mask.sum(1))[[0, -1]], [36, 100])
    assert everyone.mask.sum() == 363_209


def test_unknown_name():
    with pytest.raises(ValueError, match="no data set 'sushi': there are agh-2003"):
        load("sushi")


def test_registry_pins_commits():
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha) for sha in SHA256.values())
    assert all(
        re.match(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/\S+$", u)
        for u in URLS.values()
    )


def test_files_without_an_address(monkeypatch):
    monkeypatch.delenv("SOCIALRM_DATA_DIR", raising=False)
    assert not available("ukpconvarg1")
    with pytest.raises(FileNotFoundError, match="set SOCIALRM_DATA_DIR.*Original: Habernal and Gurevych"):
        load("ukpconvarg1")
    with pytest.raises(FileNotFoundError, match="Original: Goldberg"):
        load("jester5k")


def test_local_file_is_checked(monkeypatch, tmp_path):
    file = "preflib/00009_agh/00009-00000001.soc"
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("altered")
    monkeypatch.setenv("SOCIALRM_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match="has SHA-256 .* not 8?.*: get the file anew"):
        load("agh-2003")


@pytest.fixture
def server(tmp_path):
    """A web server for a folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()
        thread.join()


SOC = b"# NUMBER VOTERS: 2\n# ALTERNATIVE NAME 1: a\n# ALTERNATIVE NAME 2: b\n2: 2,1\n"


def test_fetch_checks_and_caches(monkeypatch, tmp_path, server):
    file = "preflib/00009_agh/00009-00000001.soc"
    cache = tmp_path / "cache"
    (tmp_path / "there.soc").write_bytes(SOC)
    monkeypatch.delenv("SOCIALRM_DATA_DIR", raising=False)
    monkeypatch.setenv("SOCIALRM_CACHE_DIR", str(cache))
    monkeypatch.setitem(downloads.URLS, file, f"{server}/there.soc")
    with pytest.raises(ValueError, match="hash"):
        load("agh-2003")
    monkeypatch.setitem(downloads.SHA256, file, hashlib.sha256(SOC).hexdigest())
    assert load("agh-2003").n_raters == 2
    (tmp_path / "there.soc").unlink()
    assert load("agh-2003").n_raters == 2
    monkeypatch.setitem(downloads.URLS, file, f"{server}/gone.soc")
    (cache / file).unlink()
    with pytest.raises(FileNotFoundError, match="gone.soc cannot be fetched"):
        load("agh-2003")
