"""Every recipe trains its first batch, with untrained models of a few kilobytes in the same
places."""

from pathlib import Path

import pytest
import yaml
from tests.docs.markdown_pages import ROOT
from tests.pictured import attributed_dataset
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_vit
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.bundle import is_complete
from vlmrec.cli.train import divide_options
from vlmrec.models import model_class
from vlmrec.pipeline.first_batch import run_first_batches
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recipes import recipe_of

RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
FAMILIES = {
    "Qwen/Qwen2-VL": "qwen2_vl",
    "Qwen/Qwen2.5-VL": "qwen2_5_vl",
    "Qwen/Qwen3-VL": "qwen3_vl",
    "OpenGVLab/InternVL": "internvl",
    "deepseek-community/deepseek-vl": "deepseek_vl",
    "meta-llama/Llama-3.2": "mllama",
}
OWN = {"compact", "data/two-tastes/toy"}
"""Backbones that stand as `tiny` here: of the same build, untrained."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Returns where the stand-in of a checkpoint lies, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def stand_in(key: str, name: str) -> str:
        if name in OWN and key == "backbone":
            return "tiny"
        if key == "text":
            return str(write_tiny_bert(folder / "bert"))
        if key == "image":
            return str(write_tiny_vit(folder / "vit"))
        family = next(family for start, family in FAMILIES.items() if name.startswith(start))
        return str(write_tiny_vlm(family, folder / family))

    return stand_in


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return attributed_dataset(tmp_path_factory.mktemp("pictures"))


def shrink(given, tiny):
    """Returns a recipe with stand-ins for checkpoints, and widths of at most 16."""
    if isinstance(given, list):
        return [shrink(one, tiny) for one in given]
    if not isinstance(given, dict):
        return given
    small = {key: shrink(value, tiny) for key, value in given.items()}
    for key, value in given.items():
        if key in ("backbone", "text", "image") and isinstance(value, str):
            small[key] = tiny(key, value)
        if key in ("dim", "hidden"):
            small[key] = min(value, 16)
    return small


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_the_first_batch(path, tiny, dataset, tmp_path):
    given = shrink(yaml.safe_load(path.read_text(encoding="utf-8")), tiny)
    if "rows" in given:
        recipe = recipe_of(given, str(path))
        labels = [row.label for row in recipe.rows]
        tried = run_first_batches(recipe, {"toy": dataset}, tmp_path, labels)
        assert tried == len([folder for folder in tmp_path.iterdir() if is_complete(folder)]) > 0
        return
    kind = model_class(path.stem)
    spec, options = divide_options(kind, given)
    short = options.model_copy(update={"epochs": 1, "epoch_steps": 1})
    run = fit(spec, dataset.leave_one_out(), options=short, quiet=True)
    assert run.info["training"]["epochs"] == 1
