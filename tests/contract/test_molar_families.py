"""Every family of vision-language models goes through both stages of Molar."""

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.tiny_vlms import FAMILIES, write_tiny_vlm

from vlmrec.models import Mirm, Molar
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions
from vlmrec.models.mirm_templates import picture_prompt
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.vlm_samples import WIDE
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.generating import generate

ONE_STEP = TrainOptions(epochs=1, batch_size=12, device="cpu", learning_rate=0.01)
FEW = TaskOptions(n_examples=6)
TASKS = MirmTasks(image_text=FEW, behaviour=FEW, history=2)
READABLE = [i not in (0, 3) for i in range(11)]  # 0 is padding; the third item has nothing


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return pictured_dataset(tmp_path_factory.mktemp("pictures"), n_users=5).leave_one_out()


def moved(before, after):
    """Returns which weights differ by more than rounding."""
    one, other = before.state_dict(), after.state_dict()
    return {name for name in one if not torch.allclose(one[name], other[name], atol=1e-6)}


@pytest.mark.parametrize("family", [*FAMILIES, "tiny"])
def test_both_stages_learn_and_load_again(family, split, tmp_path):
    backbone = family
    if family != "tiny":
        backbone = str(write_tiny_vlm(family, tmp_path / "checkpoint"))
    spec = Mirm(backbone=backbone, tasks=TASKS, chunk=4, max_len=3)
    first = fit(spec, split, tmp_path / "mirm", options=ONE_STEP, quiet=True)
    again = Run.load(tmp_path / "mirm")
    assert first.item_vectors.any(dim=1).tolist() == READABLE
    reread = again.model.reader.everything().flat().detach()
    assert torch.allclose(reread, first.item_vectors, atol=1e-5)
    told = [generate(one.model.vlm, [picture_prompt(WIDE)], 4) for one in (first, again)]
    assert told[0] == told[1]

    still = ONE_STEP.model_copy(update={"epochs": 0})
    spec = Molar(mirm=str(tmp_path / "mirm"), items="joint", max_len=3)
    untaught = fit(spec, split, options=still, quiet=True)
    run = fit(spec, split, tmp_path / "molar", options=ONE_STEP, quiet=True)
    untrained = fit(spec.model_copy(update={"items": "frozen"}), split, options=still, quiet=True)
    assert torch.allclose(untrained.item_vectors, untaught.item_vectors, atol=1e-4)
    for part in ("users.vlm.", "items.vlm.", "items.adapter"):
        changed = {name for name in moved(untaught.model, run.model) if name.startswith(part)}
        assert changed, part
        assert not any("visual" in name or "vision" in name for name in changed)
    again = Run.load(tmp_path / "molar")
    histories = torch.tensor([[3, 4, 5], [6, 0, 0]])
    scores = [
        view.score(view.encode(histories), 1, 11)
        for view in (run.ranker(), again.ranker(), again.model.ranker())
    ]
    assert torch.isfinite(scores[0]).all()
    assert torch.equal(scores[0], scores[1])
    assert torch.allclose(scores[0], scores[2], atol=1e-4)
    assert not torch.allclose(scores[0][0], scores[0][1], atol=1e-4)
