"""Several datasets and scenarios in one table: shared runs, own columns, own tests."""

import json
import re

import numpy as np
import polars as pl
import pytest
from tests.integration.test_comparing import Table

from vlmrec.core.errors import ArtifactError
from vlmrec.evaluation.metrics import parse_metric
from vlmrec.pipeline.comparing import write_comparison
from vlmrec.pipeline.comparison_page import as_latex, as_markdown, as_text
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset, write_noise_vectors

RECIPE = """
title: Toys in several places
dataset: toy
seeds: [0, 1]
metrics: [NDCG@10]
train: {{epochs: 1, device: cpu}}
scenarios:
  - leave-one-out
  - long-tail
  - test-without-texts
  - {{name: mixed, shuffle_sessions: true}}
stages:
  ids: {{model: sasrec, set: {{dim: 4, hidden: 8, n_layers: 1, max_len: 4}}}}
  content:
    model: sasrec-content
    set: {{dim: 4, hidden: 8, n_layers: 1, max_len: 4, text: {text}, image: {image}}}
rows:
  - {{label: Popularity, model: popularity}}
  - {{label: Content, like: content}}
  - {{label: SASRec, like: ids}}
  - {{label: Both, model: ensemble, set: {{runs: ["@ids", "@content"]}}}}
layout: {{published: []}}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenarios")
    shops = {"shop": small_dataset(n_users=40), "other": small_dataset(n_users=30, seed=5)}
    files = write_noise_vectors(shops["shop"], folder)
    made = Table(folder, RECIPE.format(**files), **shops)
    made.train()
    return made


def test_scenarios_that_differ_in_the_test_share_their_runs(table):
    assert len(table.settings) == 8
    assert len(list(table.folder.iterdir())) == 2 * 2 * 4 * 2  # data, training, rows, seeds
    names = [[run.name for run in one.plan.rows["SASRec"].values()] for one in table.settings[:4]]
    assert names[0] == names[1] == names[2] != names[3]
    assert any(", other (" in line for line in table.said)


def test_each_scenario_has_its_own_figures(table):
    plain, tail, wordless, mixed = table.compare_all()[:4]
    runs = table.settings[0].plan.rows
    ndcg = parse_metric("NDCG@10")
    folder = table.folder / runs["SASRec"][0].name
    cases = pl.read_parquet(folder / "test_ranks.parquet")
    counts = Run.load(folder).items.select("item_id", "n_train")
    fifth = counts["n_train"].sort(descending=True)[4]  # of 23 items
    rare = cases.join(counts, on="item_id", how="left", maintain_order="left")["n_train"] < fifth
    assert 0 < rare.sum() < len(rare)
    values = ndcg.per_case(cases["rank"].to_numpy())
    assert tail.rows[2].found.by_seed["NDCG@10"][0] == pytest.approx(values[rare.to_numpy()].mean())
    assert f"40 cases, of which {rare.sum()} count" in tail.protocol
    # What reads no words ranks as it did, what cannot be shown other content is left out.
    assert wordless.rows[0].found.by_seed == plain.rows[0].found.by_seed
    assert wordless.rows[3].found is None
    assert plain.rows[3].found is not None
    assert wordless.rows[2].found.by_seed == plain.rows[2].found.by_seed
    assert wordless.rows[1].found.by_seed != plain.rows[1].found.by_seed
    assert mixed.fingerprints["split"] != plain.fingerprints["split"]
    assert any("cannot be shown other content" in line for line in table.said)


def test_a_test_without_words_is_what_the_model_ranks_by_pictures(table):
    (name,) = (table.settings[0].plan.rows["Content"][0].name,)
    run = Run.load(table.folder / name)
    absent = table.settings[2].scenario.gap_in_test.shown(run.model.n_items)
    assert not absent.any()
    stored = list((table.folder / name / "other-content").glob("*.parquet"))
    assert len(stored) == 1
    ranks = pl.read_parquet(stored[0])
    assert ranks.columns == ["rank", "rank_filtered"]
    before = pl.read_parquet(table.folder / name / "test_ranks.parquet")
    assert not np.array_equal(before["rank"], ranks["rank"])
    whole = stored[0].read_bytes()
    stored[0].write_bytes(whole[:20])
    with pytest.raises(ArtifactError, match=r"is damaged\. Remove it; vlmrec compare ranks"):
        table.compare_all()
    stored[0].write_bytes(whole)
    table.said.clear()
    table.train()
    assert not any(line.startswith("Content") for line in table.said), "measured once"


def test_the_page_has_columns_for_each(table, tmp_path):
    found = table.compare_all()
    text, page, latex = as_text(found), as_markdown(found), as_latex(found)
    assert max(map(len, text.splitlines())) <= 100
    for name in ("shop, leave-one-out", "other, long-tail", "other, mixed"):
        assert f"<br>{name}" in page or f"| {name}" in page
        assert name in text
        assert name in latex
    assert "items of each session in random order" in text.replace("\n  ", " ")
    assert "each metric and each of these tables for itself" in text.replace("\n  ", " ")
    assert len(re.findall(r"^How each row was trained: ", text, re.MULTILINE)) == 4
    write_comparison(found, tmp_path)
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert [one["scenario"]["name"] for one in stored["blocks"][4:6]] == [
        "leave-one-out",
        "long-tail",
    ]
    alone = as_text(found[:1])
    assert "shop" in alone.splitlines()[2]
    assert "leave-one-out split" in alone
