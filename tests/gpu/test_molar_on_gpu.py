"""Both stages of Molar on a CUDA device; skipped, saying why, where there is none."""

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.models import FPMC, Mirm, Molar
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
OPTIONS = TrainOptions(epochs=2, batch_size=8, learning_rate=3e-3, device="cuda")
FEW = TaskOptions(n_examples=12)
TASKS = MirmTasks(image_text=FEW, attributes=None, behaviour=FEW, history=2)


@pytest.mark.parametrize("items", ["frozen", "refresh", "joint"])
def test_both_stages_train_on_the_gpu_and_the_run_ranks_on_the_cpu(items, tmp_path):
    checkpoint = str(write_tiny_vlm("qwen2_vl", tmp_path / "checkpoint"))
    split = pictured_dataset(tmp_path / "pictures").leave_one_out()
    first = Mirm(backbone=checkpoint, tasks=TASKS, held_out=0.2, chunk=5)
    run = fit(first, split, tmp_path / "mirm", options=OPTIONS, quiet=True)
    assert run.info["device"].startswith("cuda")
    losses = run.info["taught"]["behaviour"]["token_loss"]
    assert losses["after"] < losses["before"]
    assert run.item_vectors.isfinite().all()

    fit(FPMC(dim=8), split, tmp_path / "teacher", options=OPTIONS, quiet=True)
    given = {"mirm": str(tmp_path / "mirm"), "items": items, "refresh_every": 2, "max_len": 4}
    given["alignment"] = {"teacher": str(tmp_path / "teacher")}
    fit(Molar.parse(given, "molar"), split, tmp_path / "molar", options=OPTIONS, quiet=True)
    stored = Run.load(tmp_path / "molar")
    assert stored.info["device"].startswith("cuda")
    assert recommend(stored, ["i03", "i05"], k=5)["score"].is_finite().all()
