"""The report stands alone, escapes what users wrote, stays small, and can be made from whatever a run left."""

import importlib.machinery
import importlib.util
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_run import CONFIG, TENNESSEE, make_run, many_contests

from socialrm.findings import Contest, changed_winners, read_folder, read_orders, sensitive, verdict
from socialrm.report import write_report

EVIL = {
    "</title><script>alert(1)</script>": [
        "<img src=http://example.com/x onerror=alert(2)>",
        "{{ 7 * 7 }}",
        "$a$ & b",
    ],
    "'\" onmouseover='alert(3)": ["javascript:alert(4)", "</details></table>", "日本語\n🙂"],
}


class Page(HTMLParser):
    """Tags, what they load, ids, and whether they are balanced."""

    VOID = {"meta", "img", "source", "link", "br", "hr", "input"}

    def __init__(self, html):
        super().__init__()
        self.tags, self.loads, self.ids, self.attributes, self.open, self.text = [], [], [], set(), [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        attrs = dict(attrs)
        self.loads += [attrs[k] for k in ("src", "srcset", "href", "data", "action") if attrs.get(k)]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def test_a_lottery_is_shown_as_probabilities(tmp_path):
    folder = make_run(tmp_path / "run", TENNESSEE)
    assert "is a lottery" not in " ".join(page_of(folder).text)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"rule": "maximal_lottery"}))
    text = " ".join(page_of(folder).text)
    assert "The rule maximal_lottery is a lottery" in text and "most likely" in text
    assert "probability" in text and "winner: " not in text


def test_it_stands_alone(tmp_path):
    page = page_of(make_run(tmp_path / "run", TENNESSEE))
    assert page.open == [] and "script" not in page.tags and "link" not in page.tags
    local = [x for x in page.loads if x.startswith("#")]
    assert set(local) == {f"#{i}" for i in page.ids}
    assert all(x.startswith("data:image/png;base64,") for x in page.loads if x not in local)
    html = (tmp_path / "run" / "report.html").read_text()
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_figures_have_alt_texts_and_are_kept(tmp_path):
    folder = make_run(tmp_path / "run", TENNESSEE)
    html = write_report(folder).read_text()
    assert html.count("<img") == html.count("<picture>") == len(re.findall(r'alt="[^"]{10,}"', html))
    assert {p.stem for p in (folder / "figures").iterdir()} >= {
        "electorate",
        "loss",
        "curriculum",
        "reward_loss",
    }


def test_what_users_wrote_is_escaped(tmp_path):
    page = page_of(make_run(tmp_path / "run", EVIL))
    assert page.open == [] and "script" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on")}
    text = "".join(page.text)
    for names in EVIL.values():
        for name in names:
            assert name in text
    assert "<script>alert(1)</script>" in text and "49" not in re.findall(r"\b49\b", text)


def test_settings_and_names_are_escaped_too(tmp_path):
    folder = make_run(tmp_path / "<b>run", TENNESSEE)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"rule": "<i>borda", "source": "<u>ratings.csv"}))
    metrics = {"warnings": ["<s>careful"], "left_out": {"<q>rows": 1}, "<a>key": "<b>value"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = page_of(folder)
    assert page.open == [] and not {"i", "u", "s", "q", "b"} & set(page.tags)


def test_a_thousand_contests_stay_small(tmp_path):
    folder = make_run(tmp_path / "run", many_contests(1000), quality=False)
    html = write_report(folder).read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000
    assert "Long texts are shortened here" in html and "Contests 951 to 1000" in html
    assert Page(html).open == []


def test_escaping_does_not_break_the_limit(tmp_path):
    nasty = {f"{i}" + '"&<>' * 100: [f"{c}" + "'&<>" * 200 for c in range(10)] for i in range(1000)}
    folder = make_run(tmp_path / "run", nasty, quality=False)
    assert write_report(folder).stat().st_size < 5_000_000


def test_nine_thousand_contests_are_cut_and_it_is_said(tmp_path):
    folder = make_run(tmp_path / "run", many_contests(9_000, candidates=4, length=60), quality=False)
    html = write_report(folder).read_text(encoding="utf-8")
    assert len(html.encode()) < 5_000_000
    assert re.search(r"The first \d+ of 9000 contests are shown", html)


def test_it_is_made_of_whatever_is_there(tmp_path):
    folder = make_run(tmp_path / "run", TENNESSEE)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first  # and again, the same bytes
    for name in ("voters.npz", "metrics.jsonl", "vanilla_orders.csv", "rule_impact.csv", "data_quality.json"):
        (folder / name).unlink()
        assert page_of(folder).open == []
    assert "no <code>rule_impact.csv</code>" in (folder / "report.html").read_text()
    (folder / "social_orders.csv").unlink()
    with pytest.raises(ValueError, match=r"no run's folder: it lacks social_orders\.csv"):
        write_report(folder)


def test_who_gains_and_who_loses_by_another_rule(tmp_path):
    folder = make_run(tmp_path, {"A?": ["x", "y", "z"], "B?": ["u", "v"]})
    write_table = lambda rows: (folder / "rule_impact.csv").write_text("prompt,rule,winner,gain\n" + rows)
    write_table("A?,borda,x,\nA?,plurality,y,0.38\nB?,borda,u,\nB?,plurality,u,\n")
    write_report(folder)
    page = (folder / "report.html").read_text()
    row = '<td>{}</td><td data-of="under">{}</td><td data-of="gain">{}</td><td data-of="lose">{}</td>'
    assert row.format("y", "plurality", "38%", "62%") in page
    assert row.format("x", "borda", "", "") in page
    write_table("A?,borda,x,\nA?,plurality,y,\n")
    assert "38%" not in write_report(folder).read_text()  # a table from before there were shares


def test_what_each_winner_gives_to_each_group(tmp_path):
    folder = make_run(tmp_path, {"A?": ["x", "y", "z"], "B?": ["u", "v"]})
    rows = "A?,borda,x,\nA?,plurality,y,0.38\nB?,borda,u,\nB?,plurality,u,\n"
    (folder / "rule_impact.csv").write_text("prompt,rule,winner,gain\n" + rows)
    rows = "A?,x,north,0.8\nA?,x,<i>south,0.5\nA?,y,north,0.4\nA?,y,<i>south,0.9\n"
    (folder / "group_impact.csv").write_text("prompt,winner,group,welfare\n" + rows)
    text = "".join(page_of(folder).text)
    assert "north 0.80, <i>south 0.50 ▾" in text
    assert "north 0.40 (-0.40) ▾, <i>south 0.90 (+0.40)" in text
    many = "".join(f"A?,{w},g{i},{(i + 1) / 20 if w == 'x' else 0.5}\n" for w in "xy" for i in range(12))
    (folder / "group_impact.csv").write_text("prompt,winner,group,welfare\n" + many)
    assert "and 4 more" in "".join(page_of(folder).text)


def test_lotteries_and_losers_have_scores(tmp_path):
    folder = make_run(tmp_path / "run", {"x": ["a", "b", "c"]}, quality=False)
    rows = "prompt,completion,rank,score\nx,a,0,0.5\nx,b,0,0.5\nx,c,2,-inf\n"
    (folder / "social_orders.csv").write_text(rows)
    html = write_report(folder).read_text()
    assert "<strong>a = b</strong>" in html and "=0</td>" in html and "-∞" in html


def test_orders_are_read_best_first(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("prompt,completion,rank,score\nx,b,1,0.0\ny,c,0,1\nx,a,0,2.5\n")
    orders = read_orders(path)
    assert orders["x"] == Contest("x", ("a", "b"), (0, 1), (2.5, 0.0)) and list(orders) == ["x", "y"]


def test_very_long_texts_are_read(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(f"prompt,completion,rank,score\nx,{'a' * 300_000},0,1\n")
    assert len(read_orders(path)["x"].completions[0]) == 300_000


def test_ties_that_differ_change_winners():
    tied = {"x": Contest("x", ("a", "b"), (0, 0), (1.0, 1.0))}
    alone = {"x": Contest("x", ("a", "b"), (0, 1), (1.0, 0.0))}
    assert changed_winners(tied, alone) == ["x"] and changed_winners(tied, tied) == []
    assert sensitive({"x": {"borda": ["a", "b"], "minimax": ["b", "a"]}}) == []
    assert sensitive({"x": {"borda": ["a", "b"], "minimax": ["a"]}}) == ["x"]


def test_verdicts():
    a = {p: Contest(p, ("a", "b"), (0, 1), (1.0, 0.0)) for p in "xy"}
    b = a | {"y": Contest("y", ("b", "a"), (0, 1), (1.0, 0.0))}
    impact = {"x": {"borda": ["a"], "minimax": ["b"]}, "y": {"borda": ["a"], "minimax": ["a"]}}
    assert verdict("borda", a, b, impact, 2) == [
        "The rule borda and a vanilla reward model disagree on the winner of 1 of 2 contests.",
        "The winner depends on the rule in 1 of 2 contests.",
        "Read 2 warnings below before using these orders.",
    ]
    assert verdict("borda", a, a, {}, 0) == [
        "A vanilla reward model picks the same winner as borda in each contest.",
        "The whole order is the same in 2 of 2.",
    ]
    assert "no vanilla" in verdict("borda", a, {}, {}, 0)[0]


def test_support_welfare_and_held_out_raters_are_shown(tmp_path):
    folder = make_run(tmp_path / "run", {"x": ["a", "b", "c"]}, quality=False)
    rows = "prompt,completion,rank,score,support,raters,monte_carlo_error\nx,a,0,3,0.71,0.71,0\nx,b,1,2,0.98,0.98,0\nx,c,2,1,,,\n"
    (folder / "social_orders.csv").write_text(rows)
    (folder / "contests.csv").write_text(
        "prompt,support,decided,monte_carlo_error,pairs,undecided_pairs\nx,0.71,False,0,3,1\n"
    )
    (folder / "group_welfare.csv").write_text(
        "rule,group,welfare,worst_off\nborda,<i>north,0.8,False\nborda,south,0.25,True\n"
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["support"] = {"resamples": 200, "trainings": 1, "min_support": 0.9, "contests": 1}
    metrics["support"] |= {"undecided_contests": 1, "pairs": 3, "undecided_pairs": 1}
    metrics["held_out"] = {"raters": 40, "individual": 0.75, "verdict": "Use this: it is better."}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    text = "".join(page_of(folder).text)
    assert "Use this: it is better." in text and "1 of 1 contest is undecided" in text
    assert "support 71%" in text and "98%" in text and "raters held out and asked" in text
    assert "<i>north" in text and "0.25 ▾" in text and "Under borda, south is worst off" in text
    assert "It is of one training" in text
    metrics["support"]["trainings"] = 3
    (folder / "metrics.json").write_text(json.dumps(metrics))
    text = "".join(page_of(folder).text)
    assert "in how many of 3 trainings, whichever is smaller" in text and "one training" not in text


def test_the_folder_is_read_without_running_code(tmp_path):
    folder = make_run(tmp_path / "run", TENNESSEE)
    import numpy as np

    np.savez(folder / "voters.npz", z=np.array([object()]), component=np.zeros(1))
    with pytest.raises(ValueError, match="pickle"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("social_orders.csv", "prompt,completion,place\n", "no column 'rank': was it edited"),
        ("rule_impact.csv", "", "no column 'prompt'"),
        ("metrics.json", "{", "is not JSON"),
        ("voters.npz", "PK", "no npz file|pickle"),
    ],
)
def test_a_broken_folder_says_what_is_broken(tmp_path, name, content, message):
    folder = make_run(tmp_path / "run", TENNESSEE)
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_folder(folder)


def test_texts_are_shown_where_ids_are_not_the_texts(tmp_path):
    folder = make_run(tmp_path / "run", {"q1": ["a1", "a2", "a3"]})
    table = {"prompts": ["q1"], "completions": ["a1", "a2", "a3"], "prompt_texts": ["Tea or <coffee>?"]}
    table["completion_texts"] = ["Green tea, please.", "a2", "No & never. " * 40]
    (folder / "pairs.json").write_text(json.dumps(table))
    html = write_report(folder).read_text()
    assert "Tea or &lt;coffee&gt;?" in html and 'please. <span class="soft small">a1</span>' in html
    assert ">a2</td>" in html and "No &amp; never. " * 40 in html
    assert changed_winners(read_folder(folder)["social"], {}) == []


@pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), reason="needs Chromium"
)
def test_no_window_has_to_be_scrolled_sideways(tmp_path):
    """Long words, long texts, many groups, every fold open: at 1280 and 390 pixels, light and dark, nothing from a network."""
    script = str(Path(__file__).parents[1] / "scripts" / "check-pages")
    loader = importlib.machinery.SourceFileLoader("check_pages", script)
    pages = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_pages", loader))
    loader.exec_module(pages)
    long = ["word " * 60, "https://example.org/" + "a" * 300, "short"]
    folder = make_run(tmp_path / "run", {"x": ["a", "b"], "y" * 200: long, "Why? " * 30: long}, quality=True)
    groups = [f"group of people number {i}" for i in range(9)]
    rows = [f"{rule},{g},0.5,{i == 0}\n" for rule in ("borda", "minimax") for i, g in enumerate(groups)]
    (folder / "group_welfare.csv").write_text("rule,group,welfare,worst_off\n" + "".join(rows))
    (folder / "rule_impact.csv").write_text("prompt,rule,winner,gain\nx,borda,a,\nx,minimax,b,0.4\n")
    rows = [f"x,{winner},{g},0.5\n" for winner in "ab" for g in groups]
    (folder / "group_impact.csv").write_text("prompt,winner,group,welfare\n" + "".join(rows))
    report, browser, grounds = write_report(folder), pages.Browser(), set()
    try:
        for scheme in ("light", "dark"):
            asked = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.call("Emulation.setEmulatedMedia", features=asked)
            for size in pages.WINDOWS.values():
                assert browser.open(report.resolve(), size) == []
                browser.value("document.querySelectorAll('details').forEach(d => { d.open = true })")
                assert browser.value("document.documentElement.scrollWidth") <= size[0]
                grounds.add(browser.value("getComputedStyle(document.body).backgroundColor"))
    finally:
        browser.close()
    assert len(grounds) == 2
