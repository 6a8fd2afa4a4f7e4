"""What may vary: known options only, every value tried on the row, ranges that mean something."""

import pytest

from vlmrec.core.errors import ConfigError
from vlmrec.pipeline.recipes import recipe_of
from vlmrec.pipeline.search_space import read_space
from vlmrec.pipeline.tuning_plan import Tuning, read_tuning

ROW = {
    "label": "SASRec",
    "model": "sasrec",
    "set": {"dim": 32, "objective": {"kind": "bce", "n_negatives": 3}},
    "train": {"learning_rate": 0.002},
}
STAGES = {"ids": {"model": "sasrec"}}


def space_of(**search):
    given = {"title": "Toys", "dataset": "toy", "stages": STAGES, "rows": [ROW]}
    recipe = recipe_of(given, "the recipe")
    return read_space(recipe.rows[0], {k.replace("__", "."): v for k, v in search.items()}, recipe)


def only(**search):
    return space_of(**search).parameters[0]


def test_options_go_where_they_belong():
    space = space_of(dim={"values": [32, 64]}, learning_rate={"low": 1e-4, "high": 1e-2})
    row = space.row_with({"dim": 64, "learning_rate": 0.01, "objective.n_negatives": 9})
    assert row.set == {"dim": 64, "objective": {"kind": "bce", "n_negatives": 9}}
    assert row.train == {"learning_rate": 0.01}
    assert space.row.set == ROW["set"]


def test_a_listed_mapping_replaces_the_whole_option():
    kinds = [{"kind": "cross-entropy"}, {"kind": "bce", "n_negatives": 3}]
    space = space_of(objective={"values": kinds})
    assert space.row_with({"objective": kinds[0]}).set["objective"] == kinds[0]
    assert space.present == {"objective": kinds[1]}
    assert space.parameters[0].inside


@pytest.mark.parametrize(
    ("name", "search", "values"),
    [
        ("dropout", {"low": 0, "high": 0.5, "step": 0.1}, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ("n_layers", {"low": 1, "high": 3}, (1, 2, 3)),
        ("dim", {"low": 16, "high": 48, "step": 16}, (16, 32, 48)),
        ("weight_decay", {"low": 0, "high": 1}, None),  # a float by nature, though written whole
        ("learning_rate", {"low": "1e-4", "high": "1e-2", "log": True}, None),
        ("grad_clip", {"low": 1, "high": 2}, (1, 2)),  # nothing now: as it is written
        ("learning_rate", {"values": ["1e-4", 0.01]}, (1e-4, 0.01)),
    ],
)
def test_all_that_an_option_may_be(name, search, values):
    found = only(**{name: search})
    assert found.values() == values
    if values is not None:
        assert [type(one) for one in found.values()] == [type(one) for one in values]
        assert space_of(**{name: search}).size == len(values)


def test_a_grid_holds_every_combination_once():
    space = space_of(dim={"values": [8, 16]}, dropout={"low": 0, "high": 0.5, "step": 0.25})
    found = [tuple(one.values()) for one in space.grid()]
    assert space.size == 6
    assert sorted(found) == [(d, p) for d in (8, 16) for p in (0.0, 0.25, 0.5)]
    assert space_of(dim={"values": [8]}, dropout={"low": 0, "high": 0.5}).size is None


@pytest.mark.parametrize(
    ("name", "search", "present", "inside"),
    [
        ("dim", {"values": [32, 64]}, 32, True),
        ("dim", {"values": [16, 64]}, 32, False),
        ("dim", {"low": 16, "high": 64, "step": 16}, 32, True),
        ("dim", {"low": 16, "high": 64, "step": 12}, 32, False),
        ("learning_rate", {"low": 1e-3, "high": 1e-2, "log": True}, 0.002, True),
        ("learning_rate", {"low": 3e-3, "high": 1e-2}, 0.002, False),
        ("objective__n_negatives", {"values": [3, 30]}, 3, True),
        ("dropout", {"values": [0.2, 0.5]}, 0.2, True),  # the default, not in the file
    ],
)
def test_the_row_as_it_stands(name, search, present, inside):
    found = only(**{name: search})
    assert found.present == present
    assert found.inside is inside


def test_numbers_of_a_range_are_short_and_stay_inside():
    found = only(learning_rate={"low": 0.00012351, "high": 0.00998761, "log": True})
    assert found.nearest(0.0034567891) == 0.003457
    assert found.nearest(0.00012351) == 0.00012351
    assert found.nearest(0.00998761) == 0.00998761
    assert only(dropout={"low": 0, "high": 0.5, "step": 0.1}).nearest(0.30000000000000004) == 0.3


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({}, r"'search' of row 'SASRec' is \{\}; a mapping"),
        ({"dmi": {"values": [1]}}, r"Unknown option 'dmi' in 'search'.*Did you mean 'dim'\?"),
        ({"seed": {"values": [1]}}, "names 'seed', which must be the same in all trials"),
        ({"valid_metric": {"values": ["MRR@10"]}}, "names 'valid_metric', which must be the same"),
        ({"dim": [32, 64]}, r"stands \[32, 64\]; 'values', or 'low' and 'high', were expected"),
        ({"dim": {"low": 3}}, "'values', or 'low' and 'high', were expected"),
        ({"dim": {"values": []}}, "Option 'values' for the search of 'dim'.*at least 1 item"),
        ({"dim": {"values": [8, 8]}}, "a value stands twice"),
        ({"dim": {"values": [8, "wide"]}}, "Option 'dim' for 'SASRec' .sasrec. was given 'wide'"),
        ({"dim": {"low": 1, "high": 8, "stpe": 1}}, "Unknown option 'stpe'.*mean 'step'"),
        ({"dim": {"low": 8, "high": 8}}, "'low' must be below 'high'"),
        ({"dim": {"low": 8, "high": 16.5}}, "the option takes whole numbers"),
        ({"dropout": {"low": 0, "high": 0.5, "log": True}}, "'low' that is not above 0"),
        ({"dropout": {"low": 0.1, "high": 0.5, "step": 0.3}}, "steps of 0.3 from 0.1 miss 0.5"),
        ({"dropout": {"low": 0, "high": 1.5}}, "Option 'dropout' for 'SASRec'.*1.5"),
        ({"objective__n_negatvies": {"values": [1]}}, r"n_negatvies'.*mean 'n_negatives'"),
        (
            {"objective": {"values": [{"kind": "bpr"}]}, "objective__n_negatives": {"values": [1]}},
            "names 'objective' and 'objective.n_negatives', which is a part of it",
        ),
        ({"vectors": {"values": ["@isd"]}}, r"names '@isd': no such stage. Did you mean 'ids'"),
    ],
)
def test_a_bad_search_is_refused(search, message):
    with pytest.raises(ConfigError, match=message):
        space_of(**search)


RECIPE = """
title: Toys
dataset: toy
tuning: {trials: 7}
rows:
  - {label: A, model: item-knn, search: {shrink: {low: 0, high: 9.5}}}
  - {label: B, model: popularity}
"""


def test_a_file_is_a_recipe_with_a_search_and_a_budget(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(RECIPE)
    found = read_tuning(path)
    assert found.tuning == Tuning(trials=7)
    assert list(found.spaces) == ["A"]
    assert [row.label for row in found.recipe.rows] == ["A", "B"]
    changed = read_tuning(path, trials=3, hours=0.5).tuning
    assert (changed.trials, changed.hours) == (3, 0.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("search: {shrink: {low: 0, high: 9.5}}", "group: x", "No row .* has a 'search'"),
        ("{trials: 7}", "{trails: 7}", "Unknown option 'trails' .*Did you mean 'trials'"),
        ("{trials: 7}", "{trials: 0}", "Option 'trials' .* was given 0"),
        ("{trials: 7}", "3", "'tuning' of the recipe .* is 3; options were expected"),
        ("{trials: 7}", "{seed: 1}", "The seed 1 of 'tuning' is one of the recipe's seeds"),
        ("popularity", "popularty", "Unknown model 'popularty'"),
        ("rows:", "lines:", "has no 'rows'"),
        ("- {label: B, model: popularity}", "- B", "Row '2' .*a mapping of names"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, old, new, message):
    path = tmp_path / "space.yaml"
    assert old in RECIPE
    path.write_text(RECIPE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_tuning(path)
