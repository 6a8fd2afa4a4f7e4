"""Training on a CUDA device; skipped, saying why, where there is none."""

import pytest
import torch

from vlmrec.data.dataset import Dataset
from vlmrec.data.synthetic import order_world
from vlmrec.models import SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.train.options import TrainOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def test_order_world_is_solved_on_the_gpu_and_ranks_the_same_on_the_cpu() -> None:
    world = order_world()
    split = Dataset.from_frames(world.interactions, world.items).leave_one_out()
    options = TrainOptions(device="cuda", epochs=60, patience=60)
    run = fit(SASRec(dim=32, dropout=0.1), split, options=options, quiet=True)
    assert run.info["device"].startswith("cuda")
    assert run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"] > 0.8 * world.reachable
