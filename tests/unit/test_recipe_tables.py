"""Recipes of tables: what is read, what is refused and how it says so, which runs are shared."""

import pytest

from vlmrec.core.errors import ConfigError
from vlmrec.pipeline.planned_runs import plan
from vlmrec.pipeline.recipes import Recipe, read_recipe
from vlmrec.testing.worlds import small_dataset

SMALL = """
title: Small
dataset: toy
seeds: [0, 1]
metrics: [ndcg@10, hr@5]
train: {epochs: 2, batch_size: 8}
stages:
  base: {model: sasrec, set: {dim: 8, objective: {kind: bce}}, train: {epochs: 1}}
  wide: {like: base, set: {dim: 16}}
  once: {like: base, seeds: first}
rows:
  - {label: Popularity, model: popularity}
  - {label: Wide, like: wide, train: {learning_rate: 0.01}, published: {ML-1M: {hr@10: .2}}}
  - {label: Started, model: sasrec, set: {dim: 8, vectors: "@wide"}, baseline: true}
  - {label: Started once, model: sasrec, set: {dim: 8, vectors: "@once"}}
  - {label: Base, like: base}
"""


@pytest.fixture(scope="module")
def split():
    return small_dataset().leave_one_out()


def read(tmp_path, text=SMALL) -> Recipe:
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    return read_recipe(path)


def test_a_recipe_is_read(tmp_path):
    recipe = read(tmp_path)
    assert recipe.metrics == ("NDCG@10", "Recall@5")
    assert recipe.baseline.label == "Started"
    wide = recipe.rows[1]
    assert wide.model == "sasrec"
    assert wide.set == {"dim": 16, "objective": {"kind": "bce"}}
    assert wide.train == {"epochs": 1, "learning_rate": 0.01}
    assert wide.published == {"ML-1M": {"Recall@10": 0.2}}
    assert recipe.stages["once"].seeds == "first"
    assert Recipe.parse(recipe.model_dump(mode="json"), "copy") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title: Small", "titel: Small"), "'title' is missing in recipe '.*toy.yaml'"),
        (("seeds: [0", "seed: [0"), "Unknown option 'seed' for recipe .* Did you mean 'seeds'"),
        (
            ("label: Base, like", "label: Base, lik"),
            "'model' is missing in row 'Base' of .* or 'like: STAGE'",
        ),
        (
            ("model: popularity", "modle: popularity, model: item-knn"),
            "'modle' for row 'Popularity",
        ),
        (("seeds: first", "seeds: last"), "'seeds' for stage 'once' .* 'each' or 'first'"),
        (("label: Base", "label: Wide"), "Two rows are called 'Wide'"),
        (("[0, 1]", "[0, 0]"), r"'seeds' of the recipe is \[0, 0\]. List at least one, each once"),
        (("@wide", "@wied"), "Row 'Started' names '@wied': no such stage. Did you mean 'wide'"),
        (("like: wide", "like: wied"), "Row 'Wide' names '@wied': no such stage"),
        (("like: base, set", "like: wide, set"), "in a circle: wide -> wide"),
        (("epochs: 2", "seed: 2"), "'seed' stands among the options of training"),
        (("like: base}", "like: base, baseline: true}"), "Several rows have 'baseline: true'"),
        (("hr@10", "hits@10"), "Unknown metric 'hits@10'"),
        (
            ("dataset: toy", "dataset: toy\nscenarios: [long-tails]"),
            "There is no scenario 'long-tails'. Did you mean 'long-tail'",
        ),
        (
            ("dataset: toy", "dataset: toy\nscenarios: [long-tail, long-tail]"),
            r"'scenarios' of the recipe is \['long-tail', 'long-tail'\]. List at least one, each",
        ),
        (
            ("dataset: toy", "dataset: toy\nscenarios: [{name: mine, split: cold-users}]"),
            "Option 'scenarios.split' for recipe .* was given 'cold-users'",
        ),
        (("dataset: toy", "dataset: toy\nlayout: {intervals: [MRR@5]}"), "'MRR@5', which is no co"),
        (
            ("dataset: toy", "dataset: toy\nfilter_seen: true\nfiltered_metrics: [MRR@5]"),
            "'filtered_metrics' are columns beside unfiltered ones",
        ),
        (
            ("dataset: toy", "dataset: toy\nscenarios: [cold-item]\nsampled_metrics: [MRR@5]"),
            "'sampled_metrics' are of rankings of the whole catalogue, .* 'cold-item' ranks items",
        ),
        (("rows:", "rows: 3\nlayout:"), "'rows' of the recipe '.*' holds a int; a list was expe"),
        (("- {label: Base, like: base}", "- Base"), "Row '5' of the recipe .* holds a str"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, message):
    text = SMALL.replace(*change)
    assert text != SMALL
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_stages_in_a_circle_are_named(tmp_path):
    text = SMALL.replace("set: {dim: 16}", 'set: {vectors: "@once"}').replace(
        "like: base, seeds: first", 'model: sasrec, set: {vectors: "@wide"}'
    )
    with pytest.raises(ConfigError, match="in a circle: wide -> once -> wide"):
        read(tmp_path, text)


def test_a_recipe_of_one_model_is_no_table(tmp_path):
    with pytest.raises(ConfigError, match=r"no 'rows': it is no comparison.* vlmrec train MODEL"):
        read(tmp_path, "dim: 64\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("model: popularity", "model: popularty"), "Unknown model 'popularty'. Did you mean"),
        (
            ("dim: 16", "dims: 16"),
            r"Unknown option 'dims' for 'Wide' \(sasrec\). Did you mean 'dim'",
        ),
        (
            ("epochs: 1", "epoch: 1"),
            r"'epoch' for training 'Wide' \(sasrec\). Did you mean 'epochs'",
        ),
    ],
)
def test_options_of_every_row_are_checked_before_training(tmp_path, split, change, message):
    with pytest.raises(ConfigError, match=message):
        plan(read(tmp_path, SMALL.replace(*change)), split)


def test_stages_come_first_and_equal_runs_are_one(tmp_path, split):
    planned = plan(read(tmp_path), split)
    runs = planned.runs(planned.rows)
    assert len({run.name for run in runs}) == len(runs)
    rows = {label: [one.name for one in row.values()] for label, row in planned.rows.items()}
    order = [run.name for run in runs]
    for seed in (0, 1):
        started, once = planned.rows["Started"][seed], planned.rows["Started once"][seed]
        assert order.index(started.needs["wide"].name) < order.index(started.name)
        assert started.needs["wide"].options.seed == seed
        assert once.needs["once"].name == rows["Base"][0]  # one stage for all seeds: a shared run
        assert once.options.seed == seed
    # Popularity, Wide, stage wide, Started, Started once, Base: six runs for each seed.
    assert len(runs) == 12
    assert [run.options.seed for run in runs] == sorted(run.options.seed for run in runs)
    first = planned.rows["Started"][0].spec(tmp_path)
    assert first.vectors == str(
        (tmp_path / planned.rows["Started"][0].needs["wide"].name).resolve()
    )


def test_a_run_is_named_by_all_that_it_depends_on(tmp_path, split):
    def name(text=SMALL, data=split, label="Started"):
        return plan(read(tmp_path, text), data).rows[label][0].name

    same = SMALL.replace("title: Small", "title: Other").replace("label: Wide", "label: Broad")
    assert name(same) == name()
    assert name().startswith("sasrec-")
    assert name().endswith("-seed0")
    others = [
        SMALL.replace("dim: 16", "dim: 32"),  # of the stage it builds on
        SMALL.replace("epochs: 1", "epochs: 3"),  # of that stage's training
        SMALL.replace("set: {dim: 8, vectors", "set: {dim: 4, vectors"),
        SMALL.replace("batch_size: 8", "batch_size: 9"),
        SMALL.replace("dataset: toy", "dataset: toy\nfilter_seen: true"),
    ]
    names = [name(text) for text in others] + [name(data=small_dataset(seed=1).leave_one_out())]
    assert len({name(), *names}) == len(names) + 1
    assert name(SMALL.replace("epochs: 2", "epochs: 2, device: cpu")) == name()


def test_rows_are_chosen_by_label(tmp_path, split):
    planned = plan(read(tmp_path), split, seeds=[5])
    assert [run.label for run in planned.runs(["Started once"])] == [
        "stage once, seed 0",
        "Started once, seed 5",
    ]
    with pytest.raises(ConfigError, match=r"no row 'Startd'\. Did you mean 'Started'"):
        planned.runs(["Startd"])
