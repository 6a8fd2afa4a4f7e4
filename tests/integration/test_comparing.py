"""A table of toy models: killed and resumed, shown half-finished, and equal in every form."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from vlmrec.core.errors import ArtifactError
from vlmrec.data.batches import NextItemBatches
from vlmrec.evaluation.metrics import parse_metric
from vlmrec.pipeline import comparing
from vlmrec.pipeline.comparing import train_missing, write_comparison
from vlmrec.pipeline.comparison import compare_finished, to_json
from vlmrec.pipeline.comparison_page import as_markdown, as_text
from vlmrec.pipeline.recipes import read_recipe
from vlmrec.pipeline.settings import settings_of
from vlmrec.testing.worlds import small_dataset

RECIPE = """
title: Toys
dataset: toy
seeds: [0, 1]
metrics: [NDCG@10, Recall@5]
filtered_metrics: [NDCG@10]
sampled_metrics: [NDCG@10]
train: {epochs: 2, batch_size: 8, device: cpu}
stages:
  ids: {model: sasrec, set: {dim: 8, hidden: 16, n_layers: 1, max_len: 6}}
rows:
  - {label: Popularity, group: Counted, model: popularity, published: {Toy: {NDCG@10: .5}}}
  - {label: item-kNN, group: Counted, model: item-knn, published: {PixelRec: {NDCG@10: .0123}}}
  - {label: SASRec, group: Trained, like: ids}
  - {label: Started, group: Trained, like: ids, set: {vectors: "@ids", vectors_dim: null}}
layout: {published: [PixelRec]}
"""


class PowerCutError(Exception):
    """Stands in for a kill: nothing after it runs."""


class Table:
    """A recipe, its data and its folder of runs."""

    def __init__(self, folder, text=RECIPE, **datasets):
        (folder / "toys.yaml").write_text(text)
        self.recipe = read_recipe(folder / "toys.yaml")
        datasets = datasets or {"shop": small_dataset(n_users=40)}
        self.settings = settings_of(self.recipe, datasets)
        self.split, self.plan = self.settings[0].split, self.settings[0].plan
        self.folder = folder / "runs"
        self.said = []

    def train(self, *labels):
        chosen = labels or tuple(self.plan.rows)
        train_missing(self.settings, self.folder, chosen, quiet=True, say=self.said.append)

    def compare_all(self):
        return compare_finished(self.recipe, self.settings, self.folder, seeds=(0, 1))

    def compare(self, dataset="shop"):
        (found,) = self.compare_all()
        return replace(found, dataset=dataset)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    table = Table(tmp_path_factory.mktemp("finished"))
    table.train()
    return table


def test_a_killed_comparison_goes_on_and_ends_the_same(tmp_path, finished, monkeypatch):
    table = Table(tmp_path)
    build, built = NextItemBatches.build, []

    def cut(self, window, epoch, step):
        built.append(step)
        if len(built) == 13:  # in the second run that learns
            raise PowerCutError
        return build(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(NextItemBatches, "build", cut)
        with pytest.raises(PowerCutError):
            table.train()
    half = table.compare()
    assert 0 < half.unfinished < 8
    assert "Not finished, so left out or '-':" in as_text([half])
    table.said.clear()
    table.train()
    assert "of 8 runs are finished already." in table.said[0]
    assert all("left" in line for line in table.said[1:])
    assert (
        as_text(table.compare_all()).splitlines()[:12]
        == as_text(finished.compare_all()).splitlines()[:12]
    )
    assert _metrics(table.compare()) == _metrics(finished.compare())
    monkeypatch.setattr(comparing, "fit_once", None)  # all is finished: nothing is trained
    table.train()


def _metrics(comparison):
    return [(one["metrics"], one["difference"]) for one in comparison.to_json()["rows"]]


def test_figures_are_those_of_the_runs(finished):
    found = finished.compare()
    names = [run.name for run in finished.plan.rows["SASRec"].values()]
    tables = [pl.read_parquet(finished.folder / name / "test_ranks.parquet") for name in names]
    ndcg = parse_metric("NDCG@10")
    per_user = np.mean([ndcg.per_case(one["rank"].to_numpy()) for one in tables], axis=0)
    row = found.rows[2]
    assert row.found.estimates["NDCG@10"].mean == pytest.approx(per_user.mean())
    assert row.found.by_seed["NDCG@10"][1] == pytest.approx(
        ndcg.per_case(tables[1]["rank"].to_numpy()).mean()
    )
    filtered = [ndcg.per_case(one["rank_filtered"].to_numpy()).mean() for one in tables]
    assert row.found.estimates["NDCG@10 filtered"].mean == pytest.approx(np.mean(filtered))
    assert np.mean(filtered) > per_user.mean()
    # The toy has fewer than 100 items, so that all unseen ones compete.
    sampled = row.found.estimates["NDCG@10 of 100 sampled"].mean
    assert sampled == pytest.approx(np.mean(filtered), abs=0.005)
    base = found.rows[0]
    assert base.differences is None
    gap = row.found.estimates["NDCG@10"].mean - base.found.estimates["NDCG@10"].mean
    difference = row.differences["NDCG@10"]
    assert difference.mean == pytest.approx(gap)
    assert difference.low < gap < difference.high
    assert row.max_len == 6
    assert len(row.best_epochs) == 2
    assert found.n_users == 40


def test_a_stage_that_is_also_a_row_is_trained_once(finished):
    assert len(list(finished.folder.iterdir())) == 8
    run = finished.plan.rows["Started"][1]
    assert run.needs["ids"].name == finished.plan.rows["SASRec"][1].name
    record = json.loads((finished.folder / run.name / "run.json").read_text())
    assert record["spec"]["vectors"] == str((finished.folder / run.needs["ids"].name).resolve())


def test_text_markdown_latex_and_json_say_the_same(finished, tmp_path):
    found = finished.compare()
    write_comparison([found], tmp_path)
    names = ("table.txt", "table.md", "table.tex")
    text, page, latex = ((tmp_path / name).read_text() for name in names)
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert stored == json.loads(json.dumps(to_json([found])))
    (block,) = stored["blocks"]
    for row in block["rows"]:
        lines = [line for line in text.splitlines() if line.strip().startswith(row["label"])]
        for i, metric in enumerate(stored["metrics"]):
            one = row["metrics"][metric]
            assert f"{one['mean']:.4f}" in lines[0]
            assert f"{one['low']:.4f} to {one['high']:.4f}" in lines[1 + i]
            assert f"{one['low']:.4f} to {one['high']:.4f}" in page
            assert f"{one['low']:.4f} to {one['high']:.4f}" in latex
            if row["difference"]:
                gap = row["difference"][metric]
                assert f"{gap['mean']:+.4f}" in lines[1 + i]
                assert f"{gap['effect_size']:+.2f}" in lines[1 + i]
                p = gap["p_value_holm"]
                assert lines[1 + i].endswith("<0.001" if p < 0.001 else f"{p:.3f}")
                assert gap["p_value_holm"] >= gap["p_value"]
    best = max(block["rows"], key=lambda row: row["metrics"]["NDCG@10"]["mean"])
    assert f"**{best['metrics']['NDCG@10']['mean']:.4f}**" in page
    assert f"{best['metrics']['NDCG@10']['mean']:.4f}*" in text
    assert rf"\textbf{{{best['metrics']['NDCG@10']['mean']:.4f}}}" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\caption{") == page.count("\n| --- |")
    assert max(map(len, text.splitlines())) <= 100
    assert "full ranking of 23 items, seen items not filtered" in text.replace("\n  ", " ")
    assert "Loss of SASRec; Started: cross-entropy, full." in text
    assert found.fingerprints["dataset"] in text


def test_published_numbers_stand_under_the_name_of_their_data(finished):
    other, same = (
        as_text([finished.compare(name)]).replace("\n  ", " ") for name in ("shop", "TOY")
    )
    assert "published, PixelRec" in other
    assert "0.0123" in other
    assert "other data: compare the order of the rows" in other
    assert "0.5000" not in other
    assert "published, Toy" in same
    assert "0.5000" in same
    assert "PixelRec" not in same
    assert "other data" not in same
    assert "<br>published, Toy" in as_markdown([finished.compare("TOY")])


def test_nothing_finished_is_a_table_of_dashes(tmp_path):
    table = Table(tmp_path)
    text = as_text([table.compare()])
    assert re.search(r"^  SASRec( +-){5} *$", text, re.MULTILINE)
    assert table.compare().unfinished == 8
    table.train("Started")
    assert [one.runs != {} for one in table.compare().rows] == [False, False, True, True]
    assert table.compare().rows[3].differences is None  # the baseline is not finished


def test_models_without_vectors_stay_where_they_are_when_new_items_are_lifted(tmp_path):
    cold = "scenarios: [cold-item-among-all, cold-item-lifted, known-item, known-item-lifted]\n"
    text = RECIPE.replace("filtered_metrics: [NDCG@10]\nsampled_metrics: [NDCG@10]\n", cold)
    table = Table(tmp_path, text)
    table.train("item-kNN")
    found = [one.rows[1].found.by_seed["NDCG@10"] for one in table.compare_all()]
    assert found[0] == found[1]
    assert found[2] == found[3] != found[0]


def test_a_run_that_fails_says_which(tmp_path):
    text = RECIPE.replace('vectors: "@ids"', "vectors: nowhere.npy")
    with pytest.raises(ArtifactError, match=r"Started, seed 0: .*nowhere\.npy"):
        Table(tmp_path, text).train("Started")


def test_a_damaged_run_is_found(tmp_path):
    table = Table(tmp_path)
    table.train("Popularity")
    ranks = table.folder / table.plan.rows["Popularity"][0].name / "test_ranks.parquet"
    ranks.write_bytes(ranks.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="is damaged"):
        table.compare()


def test_cold_items_among_each_other_among_all_and_lifted(tmp_path):
    names = ["cold-item", "cold-item-among-all", "cold-item-lifted", "known-item"]
    cold = f"scenarios: [{', '.join(names)}, known-item-lifted]\n"
    text = RECIPE.replace("filtered_metrics: [NDCG@10]\nsampled_metrics: [NDCG@10]\n", cold)
    table = Table(tmp_path, text)
    table.train("SASRec")
    assert len(list(table.folder.iterdir())) == 2, "all scenarios are read from the same runs"
    found = table.compare_all()
    record = table.folder / table.plan.rows["SASRec"][0].name / "run.json"
    metrics = json.loads(record.read_text())["metrics"]
    figures = [
        metrics["test"],
        metrics["test_among_all"],
        metrics["lifted"]["test_among_all"],
        metrics["warm_among_all"],
        metrics["lifted"]["warm_among_all"],
    ]
    for one, of_run in zip(found, figures, strict=True):
        seed0 = one.rows[2].found.by_seed["NDCG@10"][0]
        assert seed0 == pytest.approx(of_run["metrics"]["NDCG@10"]["mean"]), one.scenario.name
        assert of_run["protocol"] in as_text([one]).replace("\n  ", " ")
    assert found[0].n_users < len(table.split.test)  # several cases of a user are one draw
