"""The recipe of the world of two tastes is what demo and study train under WPCL."""

from pathlib import Path

from vlmrec.cli.train import divide_options
from vlmrec.core.config import read_config_file
from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.pipeline.branch_losses import WEAK_PENALISED
from vlmrec.pipeline.two_tastes import TRAINING, two_tastes_models

RECIPE = Path(__file__).parents[2] / "recipes" / "two-tastes" / "vlm2rec.yaml"


def test_recipe_and_study_agree():
    spec, options = divide_options(VLM2Rec, read_config_file(RECIPE))
    assert spec == two_tastes_models(Path("data/two-tastes"))[WEAK_PENALISED]
    assert options.model_copy(update={"device": "cpu"}) == TRAINING
