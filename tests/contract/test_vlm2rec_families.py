"""Every family of vision-language models trains VLM2Rec, in both fusions."""

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.tiny_vlms import FAMILIES, write_tiny_vlm

from vlmrec.models import VLM2Rec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

ONE_STEP = TrainOptions(epochs=1, batch_size=12, device="cpu", learning_rate=0.01)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return pictured_dataset(tmp_path_factory.mktemp("pictures"), n_users=5).leave_one_out()


@pytest.mark.parametrize("fusion", ["external", "internal"])
@pytest.mark.parametrize("family", [*FAMILIES, "tiny"])
def test_one_step_changes_what_the_model_says(family, fusion, split, tmp_path):
    backbone = family
    if family != "tiny":
        backbone = str(write_tiny_vlm(family, tmp_path / "checkpoint"))
    off = {} if fusion == "external" else {"wpcl": None, "crtr": None}
    spec = VLM2Rec(backbone=backbone, fusion=fusion, max_len=3, chunk=4, **off)
    before = fit(spec, split, options=ONE_STEP.model_copy(update={"epochs": 0}), quiet=True)
    run = fit(spec, split, tmp_path / "run", options=ONE_STEP, quiet=True)
    assert torch.isfinite(run.item_vectors).all()
    moved = (run.item_vectors - before.item_vectors).abs().amax(dim=1)
    readable = run.item_vectors.any(dim=1)
    assert readable.tolist() == [i not in (0, 3) for i in range(11)]  # padding, i02
    assert moved[readable].gt(1e-6).all()
    again = Run.load(tmp_path / "run")
    with torch.no_grad():
        reread = again.model.reader.everything().flat()
    assert torch.allclose(reread, run.item_vectors, atol=1e-5)
