"""Every recipe can be given to `vlmrec train`, and says what it is for and what it must reach."""

import re
from pathlib import Path

import pytest
import yaml
from tests.docs.markdown_pages import ROOT

from vlmrec.cli.train import divide_options
from vlmrec.core.config import read_config_file
from vlmrec.models import model_class

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def test_there_are_recipes_and_the_readme_lists_each():
    listed = re.findall(r"^\| `([^`]+\.yaml)` \|", (ROOT / "recipes/README.md").read_text(), re.M)
    assert RECIPES
    assert {str(path.relative_to(ROOT / "recipes")) for path in RECIPES} == set(listed)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recipe_configures_its_model(path: Path):
    text = path.read_text(encoding="utf-8")
    facts = dict(re.findall(r"^# (model|dataset|protocol|expected): (.+)$", text, re.MULTILINE))
    assert set(facts) == {"model", "dataset", "protocol", "expected"}
    assert path.stem == facts["model"]
    assert re.search(r"NDCG@10 >= 0\.\d+", facts["expected"])
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
