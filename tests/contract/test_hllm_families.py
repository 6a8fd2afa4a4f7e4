"""Every family of vision-language models can be both models of HLLM."""

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.tiny_vlms import FAMILIES, write_tiny_vlm

from vlmrec.models import HLLM
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

ONE_STEP = TrainOptions(epochs=1, batch_size=12, device="cpu", learning_rate=0.01)
READABLE = [i not in (0, 3) for i in range(11)]  # 0 is padding; the third item has nothing


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return pictured_dataset(tmp_path_factory.mktemp("pictures"), n_users=5).leave_one_out()


@pytest.mark.parametrize("family", [*FAMILIES, "tiny"])
def test_both_models_learn_in_one_step_and_load_again(family, split, tmp_path):
    backbone = family
    if family != "tiny":
        backbone = str(write_tiny_vlm(family, tmp_path / "checkpoint"))
    spec = HLLM.parse(
        {
            "backbone": backbone, "inputs": "both", "max_len": 3, "chunk": 4,
            "objective": {"n_negatives": 5, "skip_similar": None},
        },
        "a test",
    )  # fmt: skip
    still = fit(spec, split, options=ONE_STEP.model_copy(update={"epochs": 0}), quiet=True)
    run = fit(spec, split, tmp_path / "run", options=ONE_STEP, quiet=True)
    assert run.item_vectors.any(dim=1).tolist() == READABLE
    before, after = still.model.state_dict(), run.model.state_dict()
    changed = [name for name in before if not torch.allclose(before[name], after[name], atol=1e-6)]
    for part in ("_item_model.", "users.vlm.", "scorer."):
        assert any(name.startswith(part) for name in changed), part
    assert not any("visual" in name or "vision" in name for name in changed)

    again = Run.load(tmp_path / "run")
    histories = torch.tensor([[3, 4, 5], [6, 0, 0]])
    scores = [
        view.score(view.encode(histories), 1, 11)
        for view in (run.ranker(), again.ranker(), again.model.ranker())
    ]
    assert torch.isfinite(scores[0]).all()
    assert torch.equal(scores[0], scores[1])
    assert torch.allclose(scores[0], scores[2], atol=1e-4)
    assert not torch.allclose(scores[0][0], scores[0][1], atol=1e-4)
