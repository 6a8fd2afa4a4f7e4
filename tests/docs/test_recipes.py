"""Every recipe can be given to `vlmrec train` or `vlmrec compare`, and says what it is for."""

import re
from pathlib import Path

import pytest
import yaml
from tests.docs.markdown_pages import ROOT

from vlmrec.cli.train import divide_options
from vlmrec.core.config import read_config_file
from vlmrec.models import model_class
from vlmrec.pipeline.planned_runs import plan
from vlmrec.pipeline.recipes import read_recipe
from vlmrec.testing.worlds import small_dataset

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
TABLES = [path for path in RECIPES if "rows" in yaml.safe_load(path.read_text(encoding="utf-8"))]
SINGLE = [path for path in RECIPES if path not in TABLES]


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def test_there_are_recipes_and_the_readme_lists_each():
    listed = re.findall(r"^\| `([^`]+\.yaml)` \|", (ROOT / "recipes/README.md").read_text(), re.M)
    assert SINGLE
    assert TABLES
    assert {str(path.relative_to(ROOT / "recipes")) for path in RECIPES} == set(listed)


@pytest.mark.parametrize("path", SINGLE, ids=name_of)
def test_recipe_configures_its_model(path: Path):
    text = path.read_text(encoding="utf-8")
    facts = dict(re.findall(r"^# (model|dataset|protocol|expected): (.+)$", text, re.MULTILINE))
    assert set(facts) == {"model", "dataset", "protocol", "expected"}
    assert path.stem == facts["model"]
    assert re.search(r"NDCG@10 >= 0\.\d+|not measured yet", facts["expected"])
    given = read_config_file(path)
    assert given == yaml.safe_load(text)
    assert "seed" not in given  # the claim is a mean over seeds
    spec, options = divide_options(model_class(facts["model"]), given)
    for name, value in given.items():
        owner = spec if name in type(spec).model_fields else options
        found = getattr(owner, name)
        if isinstance(value, dict):
            assert found.model_dump(mode="json") | value == found.model_dump(mode="json")
        else:
            assert found == value


@pytest.mark.parametrize("path", TABLES, ids=name_of)
def test_every_row_and_stage_of_a_table_configures_its_model(path: Path):
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"^# (dataset|protocol): ", text, re.MULTILINE)) == {
        "dataset",
        "protocol",
    }
    recipe = read_recipe(path)
    planned = plan(recipe, small_dataset().leave_one_out())
    runs = planned.runs(row.label for row in recipe.rows)
    assert {run.options.seed for run in runs} == set(recipe.seeds)
    used = {name for run in runs for name in run.needs}
    likes = {part.get("like") for part in _parts(yaml.safe_load(text))}
    assert set(recipe.stages) == used | (likes & set(recipe.stages)), "a stage that nobody uses"


def test_the_tables_of_the_molar_paper_are_there_in_both_sizes():
    paper = {f"table{n}" for n in (2, 3, 4, 5, 6)} | {"figure3"}
    assert {path.stem for path in TABLES if path.parent.name == "molar"} == paper
    twins = {path.stem for path in TABLES if path.parent.name == "ml-100k-mm"}
    assert {f"molar-{name}" for name in paper} <= twins


def test_vlm2rec_is_compared_and_tried_for_robustness_in_both_sizes():
    ours = {"comparison", "robustness"}
    assert {path.stem for path in TABLES if path.parent.name == "vlm2rec"} == ours
    twins = {path.stem for path in TABLES if path.parent.name == "ml-100k-mm"}
    assert {f"vlm2rec-{name}" for name in ours} <= twins


def _parts(given: dict) -> list[dict]:
    return [*given["rows"], *given.get("stages", {}).values()]
