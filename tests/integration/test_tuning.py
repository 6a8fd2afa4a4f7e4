"""Tuning of toys: the better option is found, budgets are equal, the test is not
looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.tuned_toys import COUNTED, HEAD, HOPELESS, LEARNED, Study, facts

from vlmrec.bundle import is_complete
from vlmrec.core.errors import ArtifactError, ConfigError, MissingExtraError
from vlmrec.data.synthetic import order_world
from vlmrec.evaluation import evaluator
from vlmrec.pipeline.planned_runs import plan
from vlmrec.pipeline.recipes import read_recipe
from vlmrec.pipeline.tuning_page import as_markdown, as_text, write_tuned
from vlmrec.pipeline.tuning_plan import read_tuning
from vlmrec.testing.worlds import small_dataset, world_split


@pytest.fixture(scope="module")
def split():
    return world_split(order_world(n_items=20, n_users=40))


@pytest.fixture(scope="module")
def looked_at():
    """Targets of all cases that are ranked while this module's fixtures and tests run."""
    seen = []
    rank = evaluator.rank_targets

    def noting(ranker, cases, **options):
        seen.append(np.asarray(cases.targets))
        return rank(ranker, cases, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "rank_targets", noting)
        yield seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory, split, looked_at):
    study = Study(tmp_path_factory.mktemp("finished"), HEAD + COUNTED + LEARNED, split)
    return study, study.run()


def test_the_better_option_is_found_with_equal_budgets(finished):
    study, found = finished
    knn, sasrec = found.rows
    assert [len(row.trials) for row in found.rows] == [3, 3]
    assert sasrec.trials[0].options == {"learning_rate": 1e-5}
    tried = [json.dumps(one.options) for one in sasrec.trials]
    assert len(set(tried)) == 3
    assert sasrec.best.options["learning_rate"] == 0.03
    assert sasrec.best.result.value > sasrec.trials[0].result.value + 0.1
    assert sasrec.row.train["learning_rate"] == 0.03
    assert knn.best.result.value == max(one.result.value for one in knn.trials)
    assert sum("SASRec: " in line for line in study.said) == 3


def test_validation_only(finished, looked_at, split):
    study, _ = finished
    assert looked_at
    assert all(np.array_equal(one, split.valid.targets) for one in looked_at)
    (stage,) = study.folders("stages")
    assert is_complete(stage)
    assert not list(study.out.rglob("test_ranks*"))
    assert not list(study.out.rglob("report.html"))
    assert json.loads((stage / "run.json").read_text())["metrics"] == {}
    # The value of a trial is what its log says of validation, not another figure.
    logs = [(one / "metrics.jsonl", one / "trial.json") for one in study.folders("trials")]
    for log, result in logs:
        if log.is_file():
            values = [json.loads(line)["valid NDCG@10"] for line in log.read_text().splitlines()]
            assert json.loads(result.read_text())["value"] == max(values)


def test_trials_keep_no_weights(finished):
    study, _ = finished
    assert not [path for one in study.folders("trials") for path in one.rglob("*.safetensors")]


def test_pages_and_the_recipe_that_follows(finished, tmp_path):
    study, found = finished
    write_tuned(found, tmp_path)
    text = (tmp_path / "table.txt").read_text()
    assert text == as_text(found) + "\n"
    assert (tmp_path / "table.md").read_text() == as_markdown(found) + "\n"
    assert max(map(len, text.splitlines())) <= 100
    flat = text.replace("\n  ", " ")
    for part in (
        "SASRec: learning_rate 0.03 (trial ",
        "Budget, the same for every row: 3 trials; trial 0 is the row as it stands.",
        "TPE of Optuna 5",
        "seed 100",
        "best NDCG@10 on validation cases. Test cases were not looked at",
        "Not tuned: Popularity.",
        study.split.dataset.fingerprint,
    ):
        assert part in flat
    stored = json.loads((tmp_path / "tuning.json").read_text())
    assert stored == json.loads(json.dumps(found.to_json()))
    assert f"{stored['rows'][1]['best']['result']['value']:.4f}" in text
    recipe = read_recipe(tmp_path / "tuned.yaml")
    assert recipe == found.recipe()
    assert recipe.seeds == (0, 1)
    options = plan(recipe, study.split).rows["SASRec"][1].options
    assert (options.learning_rate, options.seed) == (0.03, 1)
    assert recipe.rows[0] == study.plan.recipe.rows[0]


def test_a_larger_budget_goes_on(tmp_path, split):
    study = Study(tmp_path, HEAD + COUNTED, split)
    first = study.run()
    study.plan = read_tuning(tmp_path / "space.yaml", trials=5)
    study.said.clear()
    more = study.run()
    assert facts(more)[0][:3] == facts(first)[0]
    assert len(more.rows[0].trials) == 5
    assert [one[:5] for one in study.said if one[0] == "["] == ["[4/5]", "[5/5]"]


@pytest.mark.parametrize(
    ("method", "outcome", "epochs"),
    [
        ("{trials: 2, startup: 1, warmup: 0}", "pruned", 1),
        ("{trials: 2, startup: 1, warmup: 1}", "pruned", 2),
        ("{trials: 2, startup: 2, warmup: 0}", "done", 3),
        ("{trials: 2, startup: 1, warmup: 0, pruning: none}", "done", 3),
    ],
)
def test_a_hopeless_trial_is_pruned(tmp_path, split, method, outcome, epochs):
    text = HEAD.replace("{trials: 3, startup: 1, warmup: 1}", method) + HOPELESS
    study = Study(tmp_path, text, split)
    row = study.run().rows[0]
    assert [one.outcome for one in row.trials] == ["done", outcome]
    assert row.trials[1].result.epochs == epochs
    assert row.best.number == 0
    assert row.row == study.plan.recipe.rows[1]
    assert len(study.folders("trials")) == (1 if outcome == "pruned" else 2)


def test_hours_end_a_row(tmp_path, split):
    study = Study(tmp_path, HEAD + HOPELESS, split)
    study.plan = read_tuning(tmp_path / "space.yaml", hours=1e-9)
    found = study.run()
    assert len(found.rows[0].trials) == 1
    assert "3 trials, none begun after 1e-09 h of training" in as_text(found)


def test_a_small_space_is_searched_once(tmp_path, split):
    text = HEAD + "  - {label: kNN, model: item-knn, search: {n_neighbours: {values: [3, 9]}}}\n"
    found = Study(tmp_path, text.replace("trials: 3", "trials: 9"), split).run()
    tried = [one.options["n_neighbours"] for one in found.rows[0].trials]
    assert tried[0] == 500  # as it stands, which is not in the search
    assert sorted(tried[1:]) == [3, 9]
    assert "Every combination was tried, fewer than the budget: kNN." in as_text(found)


def test_a_combination_that_cannot_be_trained_counts_as_failed(tmp_path, split):
    text = HEAD.replace("trials: 3", "trials: 4").replace("epochs: 2", "epochs: 1")
    row = "  - {label: A, like: ids, search: {dim: {values: [8, 9]}, n_heads: {values: [1, 2]}}}\n"
    ids = "max_len: 60}"
    assert ids in text
    found = Study(tmp_path, text.replace(ids, "max_len: 6, n_heads: 1}") + row, split).run()
    (failed,) = [one for one in found.rows[0].trials if one.outcome == "failed"]
    assert failed.options == {"dim": 9, "n_heads": 2}
    assert len(found.rows[0].trials) == 4
    assert "Failed: A, trial" in as_text(found)


def test_a_row_that_cannot_be_trained_as_it_stands_is_refused(tmp_path):
    text = HEAD + (
        "  - {label: A, model: sasrec-content, set: {text: none.npy}, "
        "search: {dim: {values: [8, 16]}}}\n"
    )
    with pytest.raises((ConfigError, ArtifactError), match=r"none\.npy"):
        Study(tmp_path, text, small_dataset().leave_one_out()).run()


def test_a_damaged_study_says_so(tmp_path, split):
    study = Study(tmp_path, HEAD + COUNTED, split)
    study.run()
    journal = study.out / "space" / "study.log"
    journal.write_bytes(b"not json\n" + journal.read_bytes())
    with pytest.raises(ArtifactError, match="is damaged: it is no journal of a tuning"):
        study.run()


def test_without_optuna_the_extra_is_named(tmp_path, split, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vlmrec\[tune\]'"):
        Study(tmp_path, HEAD + COUNTED, split).run()


def test_other_test_cases_change_nothing(tmp_path, split):
    other = replace(split, test=split.valid)
    first, second = (tmp_path / name for name in "ab")
    first.mkdir()
    second.mkdir()
    found = [Study(first, HEAD + COUNTED, split).run(), Study(second, HEAD + COUNTED, other).run()]
    assert facts(found[0]) == facts(found[1])
