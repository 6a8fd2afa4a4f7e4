"""The report of a small table: its figures are those of the runs, and gaps in them are told."""

import json
import re
import shutil

import numpy as np
import pytest
from tests.chromium import PROGRAM, browser
from tests.pictured import pictured_dataset
from tests.unit.test_report import Page

from vlmrec.evaluation.grid import Block, Grid
from vlmrec.evaluation.report import (
    CostPoint,
    LearningCurve,
    NotedTable,
    TablePart,
    TableReport,
    write_table_report,
)
from vlmrec.pipeline import compared_people
from vlmrec.pipeline.compared_cards import stored_cards
from vlmrec.pipeline.comparing import train_missing
from vlmrec.pipeline.comparison import compare_finished
from vlmrec.pipeline.comparison_report import report_comparison
from vlmrec.pipeline.recipes import read_recipe
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.settings import settings_of

RECIPE = """
title: "Small <models>"
dataset: toy
seeds: [0, 1]
metrics: [NDCG@10, Recall@5]
train: {epochs: 3, batch_size: 8, device: cpu}
stages:
  ids: {model: sasrec, set: {dim: 8, hidden: 16, n_layers: 1, max_len: 6}}
rows:
  - {label: Popularity, group: Counted, model: popularity}
  - {label: item-kNN, group: Counted, model: item-knn, baseline: true}
  - {label: SASRec, group: Trained, like: ids}
  - {label: Started, group: Trained, like: ids, set: {vectors: "@ids", vectors_dim: null}}
  - {label: Never trained, group: Trained, like: ids, set: {dim: 4}}
"""
DONE = ("Popularity", "item-kNN", "SASRec", "Started")


class Table:
    """A recipe with its finished runs."""

    def __init__(self, folder, text=RECIPE, done=DONE):
        (folder / "toys.yaml").write_text(text)
        self.recipe = read_recipe(folder / "toys.yaml")
        dataset = pictured_dataset(folder / "pictures", n_users=80, n_items=23)
        self.settings = settings_of(self.recipe, {"shop": dataset})
        self.split, self.plan = self.settings[0].split, self.settings[0].plan
        self.runs = folder / "runs"
        train_missing(self.settings, self.runs, done, quiet=True)

    def compare(self, runs=None):
        return compare_finished(self.recipe, self.settings, runs or self.runs, (0, 1))

    def report(self, folder, runs=None):
        path = folder / "report.html"
        report_comparison(path, self.compare(runs), self.settings, runs or self.runs)
        text = path.read_text("utf-8")
        return text, " ".join(" ".join(Page(text).words).split())

    def name(self, label, seed=0):
        return self.plan.rows[label][seed].name


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return Table(tmp_path_factory.mktemp("table"))


def test_its_figures_are_those_of_the_comparison(table, tmp_path):
    text, words = table.report(tmp_path)
    (found,) = table.compare()
    assert "Small &lt;models&gt;" in text
    for one in found.rows[:4]:
        assert f"{one.found.estimates['NDCG@10'].mean:.4f}" in words
        if one.differences:
            gap = one.differences["NDCG@10"]
            assert f"{gap.mean:+.4f} {gap.low:+.4f} to {gap.high:+.4f}" in words
    best = max(found.rows[:4], key=lambda one: one.found.estimates["NDCG@10"].mean)
    assert f"{best.row.label} ({best.row.group}) has the highest NDCG@10" in words
    assert "runs finished 8 of 10" in words
    assert "Not finished, so left out or '-': Never trained" in words
    assert "SASRec · Trained: best" in text  # the spoken form of its learning curve
    assert "Popularity · Counted: best" not in text
    # The cost of a row that builds on another holds that of the other.
    alone, below = (
        sum(
            json.loads((table.runs / table.name(label, seed) / "run.json").read_text())["training"][
                "wall_seconds"
            ]
            for seed in (0, 1)
        )
        / 2
        for label in ("Started", "SASRec")
    )
    assert f"in {alone + below:,.3g} s" in text
    assert str(tmp_path) not in text


def test_groups_of_cases_are_means_over_their_cases(table, tmp_path):
    _, words = table.report(tmp_path)
    (found,) = table.compare()
    lengths = np.asarray(table.split.test.histories.lengths)
    mask = (lengths >= 6) & (lengths <= 10)
    assert mask.sum() >= 30
    for one in found.rows[:4]:
        mean = one.found.cases["NDCG@10"][mask].mean()
        start = words.index("By length of the history")
        assert f"{mean:.4f}" in words[start:], one.row.label
    assert f"history 6-10: 6 to 10 earlier interactions ({mask.sum()} cases)" in words


def test_example_people_are_shown_what_the_runs_recommend(table, tmp_path):
    text, words = table.report(tmp_path)
    again, _ = table.report(tmp_path)
    assert text == again
    page = Page(text)
    assert len([one for one in page.all("article") if one["class"] == "person"]) == 4
    start = words.index("User ")
    name = words[start:].split()[1]
    row = int(
        np.flatnonzero(table.split.test.users == table.split.dataset.users.to_internal([name]))[0]
    )
    history = table.split.test.histories.padded(np.array([row]), 6)[0]
    ids = table.split.dataset.items.to_external(history[history > 0])
    best = recommend(table.runs / table.name("SASRec"), ids, k=6, filter_seen=False)
    titles = [title or item for title, item in best.select("title", "item_id").iter_rows()]
    shown = words[words.index("SASRec · Trained", start) :]
    places = [shown.index(title) for title in titles]
    assert places == sorted(places)
    assert max(places) < shown.index("Started · Trained")


def test_what_is_lacking_is_told_and_costs_nothing_else(table, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(table.runs, runs)
    (runs / table.name("SASRec") / "model.safetensors").unlink()
    (runs / table.name("Started") / "metrics.jsonl").write_text("{half")
    card = runs / table.name("item-kNN") / "diagnosis" / "card.json"
    card.parent.mkdir()
    card.write_text("{}")
    _, words = table.report(tmp_path, runs)
    assert "Without a list: SASRec:" in words
    assert "Time or learning of Started: its run folders cannot be read." in words
    assert "The card of item-kNN" in words
    assert "Popularity · Counted" in words[words.index("Recommended") :]


def test_stored_cards_are_shown(tmp_path):
    rows = "rows:\n  - {label: Popularity, model: popularity}\n"
    small = Table(tmp_path, RECIPE[: RECIPE.index("stages:")] + rows, ("Popularity",))
    run = small.runs / small.name("Popularity", 1) / "diagnosis"
    run.mkdir()
    estimate = {"mean": 0.25, "low": 0.2, "high": 0.3}
    view = {"NDCG@10": estimate}
    card = {
        "modalities": ["text", "image"],
        "verdict": {"level": "unbalanced", "reason": "pictures lost half."},
        "scores": {
            "views": {"both": view, "text only": view, "image only": view},
            "drops": {"text": {"mean": 0.9}, "image": {"mean": 0.1}},
            "shares": {"text": {"mean": None}, "image": {"mean": 0.4}},
        },
    }
    (run / "card.json").write_text(json.dumps(card))
    _, words = small.report(tmp_path)
    assert "vlmrec diagnose" not in words
    line = words[words.index("Popularity Pictures lost half.") :]
    assert re.match(r"[^.]+\. unbalanced (0\.2500 ){3}90 % 10 % \S 40 %", line)


def test_models_that_read_content_get_the_command_for_their_card(table):
    (found,) = table.compare()
    cards = stored_cards(found, table.runs, {"SASRec": ("text",), "Started": ()})
    assert cards.commands == (f"vlmrec diagnose {table.runs / table.name('SASRec')}",)
    assert "A card shows a trained model changed items" in cards.remarks[0]


def test_only_so_many_models_are_loaded_and_none_of_billions(table, tmp_path, monkeypatch):
    monkeypatch.setattr(compared_people, "ROWS_AT_MOST", 2)
    (found,) = table.compare()
    few = compared_people.compare_people(found, table.split, table.runs)
    lists = [tuple(person.recommendations) for person in few.people]
    assert lists == [("Popularity · Counted", "item-kNN · Counted")] * 4  # the baseline is there
    assert "the first seed of the first 2 of 4 rows would recommend" in few.remarks[0]
    monkeypatch.setattr(compared_people, "PARAMETERS_AT_MOST", -1)
    none = compared_people.compare_people(found, table.split, table.runs)
    assert none.people == ()
    assert len(none.remarks) == 2
    assert "too large to load" in none.remarks[0]


def test_each_scenario_has_its_part_and_shared_runs_are_shown_once(tmp_path):
    text = RECIPE[: RECIPE.index("stages:")] + (
        "scenarios: [cold-item, cold-item-among-all]\nrows:\n"
        "  - {label: Popularity, model: popularity}\n  - {label: item-kNN, model: item-knn}\n"
    )
    cold = Table(tmp_path, text, ("Popularity", "item-kNN"))
    _, words = cold.report(tmp_path)
    assert "data shop scenarios cold-item, cold-item-among-all seeds 0, 1 runs" in words
    for name in ("cold-item", "cold-item-among-all"):
        assert f"Against Popularity: {name} By" in words
        assert f"{name}: " in words[: words.index("data shop")]
    assert words.count("What it costs: ") == words.count("Example people: ") == 1


def test_nothing_finished_is_a_page_too(table, tmp_path):
    _, words = table.report(tmp_path, tmp_path / "empty")
    assert "Nothing is finished yet." in words
    assert "Learning" not in words


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")
def test_a_browser_shows_it_whole_on_a_desk_and_on_a_phone(table, tmp_path):
    table.report(tmp_path)
    path = tmp_path / "report.html"
    papers = set()
    with browser() as window:
        for width, dark in ((1280, False), (390, False), (390, True)):
            shown = window(width, dark=dark)
            page = shown.page
            page.goto(path.resolve().as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert page.evaluate(COLLIDING) == []
            assert page.evaluate(STICKING_OUT) == []
            assert page.evaluate(LOADED)
            assert page.evaluate("document.images.length") > 20
            assert shown.complaints == []
            assert set(shown.requests) == {path.resolve().as_uri()}
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        page = window(1280).page
        page.goto(crowded(tmp_path).resolve().as_uri())
        assert (page.evaluate(COLLIDING), page.evaluate(STICKING_OUT)) == ([], [])
    assert len(papers) == 2
    assert (tmp_path / "page.png").stat().st_size > 10_000


def crowded(folder):
    """Writes a page whose points and curves lie close together, under names of all lengths."""
    names = ("SASRec, cross-entropy", "Ensemble of SASRec and Molar", "without UB", "without IT",
             "BCE, as in the paper", "SASRec-content", "without all three parts of it")  # fmt: skip
    costs = [CostPoint(name, 300.0 + 200 * i, 0.04, i + 1) for i, name in enumerate(names)]
    curves = [LearningCurve(name, (1, 2), (0.1, 0.2)) for name in names]
    part = TablePart(curves={"valid NDCG@10": tuple(curves)}, costs=tuple(costs))
    table = NotedTable("", Grid("model", (Block("", ("NDCG@10",)),), ()))
    path = folder / "crowded.html"
    write_table_report(path, TableReport("Crowded", "NDCG@10", table, parts=(part,)))
    return path


LOADED = """
Promise.all([...document.images].map(one => { one.loading = "eager"; return one.decode(); }))
  .then(() => [...document.images].every(one => one.naturalWidth > 0))
"""
COLLIDING = """
[...document.querySelectorAll("svg.chart")].flatMap(chart => {
  const words = [...chart.querySelectorAll("text")].map(one => {
    const { left, right, top, bottom } = one.getBoundingClientRect();
    return { text: one.textContent, left, right: right - 1, top, bottom: bottom - 4 };
  });
  return words.flatMap((p, i) => words.slice(i + 1)
    .filter(q => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom)
    .map(q => p.text + " / " + q.text));
})
"""
"""Pairs of words in one chart that lie on each other."""
STICKING_OUT = """
[...document.querySelectorAll("svg.chart")].flatMap(chart => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter(one => {
    const own = one.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1;
  }).map(one => one.textContent);
})
"""
"""Words that a chart cuts off."""
