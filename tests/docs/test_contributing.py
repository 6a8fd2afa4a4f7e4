"""The worked examples of CONTRIBUTING.md are real: they are built, trained and tested here."""

import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
import yaml
from tests.docs.markdown_pages import ROOT, code_blocks

from vlmrec.cli.train import divide_options
from vlmrec.core.errors import DataError
from vlmrec.data.cleaning import CleaningOptions, clean
from vlmrec.data.dataset import Dataset
from vlmrec.data.synthetic import order_world, shuffled
from vlmrec.models import MODELS
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import world_split
from vlmrec.train.options import TrainOptions

BLOCKS = {block.title: block for block in code_blocks(ROOT / "CONTRIBUTING.md") if block.title}


def load(title: str) -> ModuleType:
    """Returns the module in a code block, importable by the name that its title says."""
    name = title.removeprefix("src/").removesuffix(".py").replace("/", ".")
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(BLOCKS[title].body, title, "exec"), module.__dict__)
    return module


# The contract examples import the modules before them by name, as they would in the project.
fading_mean = load("src/vlmrec/models/fading_mean.py")
double_colon = load("src/vlmrec/data/sources/double_colon.py")
trigrams = load("src/vlmrec/vlm/trigrams.py")


class TestFadingMeanContract(load("tests/contract/test_fading_mean.py").TestFadingMean):
    @pytest.fixture(autouse=True)
    def _listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(MODELS, "fading-mean", fading_mean.FadingMean)


class TestTrigramsContract(load("tests/contract/test_trigrams.py").TestTrigrams):
    pass


def test_every_titled_block_is_used_here():
    used = set(Path(__file__).read_text(encoding="utf-8").split('"'))
    assert len(BLOCKS) == 6
    assert set(BLOCKS) <= used


def test_the_example_model_learns_order():
    options = TrainOptions(epochs=30, batch_size=16, learning_rate=0.01, device="cpu")

    def reached(world):
        run = fit(fading_mean.FadingMean(dim=32), world_split(world), options=options, quiet=True)
        return run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"]

    world = order_world()
    assert reached(world) > 0.6 * world.reachable
    assert reached(shuffled(world)) < 0.3 * world.reachable


def test_the_example_recipe_configures_the_example_model():
    recipe = yaml.safe_load(BLOCKS["recipes/ml-100k-mm/fading-mean.yaml"].body)
    spec, options = divide_options(fading_mean.FadingMean, recipe)
    assert spec == fading_mean.FadingMean(dim=64, fading=0.5)
    assert options.batch_size == 64


def test_the_example_source_reads_five_rows(tmp_path: Path):
    file = tmp_path / "ratings.dat"
    file.write_text(
        "1::10::5::978300760\n1::11::3::978300761\n2::10::4::978300762\n"
        "1::12::4::978300763\n2::07::1::978300764\n"
    )
    raw = double_colon.read_double_colon(file)
    assert raw.notes[0].sentence == "'ratings.dat': 5 interactions."
    cleaned = clean(raw, CleaningOptions())
    data = Dataset.from_frames(cleaned.interactions, cleaned.items)
    assert data.to_interactions()["item_id"].to_list() == ["10", "11", "12"]
    assert raw.interactions.schema["rating"] == pl.Float32
    file.write_text("1::10::5::978300760\n1::11\n")
    with pytest.raises(
        DataError, match=r"Line 2 of '.*' is '1::11'. Each line must be: user::item"
    ):
        double_colon.read_double_colon(file)
