"""Vision-language models on a CUDA device; skipped, saying why, where there is none."""

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.tiny_vlms import FAMILIES, write_tiny_vlm

from vlmrec.models import VLM2Rec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import make_prompt

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
PROMPTS = [
    make_prompt(noise_picture(0, 40, 24), "a red cup"),
    make_prompt("a blue toy, and more words than the others have"),
    make_prompt(noise_picture(1, 24, 40), noise_picture(2, 30, 30), "two"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gpu_gives_the_vectors_of_the_cpu(family, tmp_path):
    folder = str(write_tiny_vlm(family, tmp_path))
    exact = VlmOptions(dtype="float32")
    here, there = load_vlm(folder, exact), load_vlm(folder, exact, device=torch.device("cuda"))
    with torch.no_grad():
        expected = here.encode(PROMPTS)
        torch.testing.assert_close(there.encode(PROMPTS).cpu(), expected, atol=1e-3, rtol=1e-3)
        half = load_vlm(folder, device=torch.device("cuda"))
        assert half.family.word_embeddings.weight.dtype == torch.bfloat16
        near = torch.cosine_similarity(half.encode(PROMPTS).cpu(), expected)
        assert near.min() > 0.98


def test_a_lora_step_with_checkpointing_learns_on_the_gpu(tmp_path):
    folder = str(write_tiny_vlm("qwen2_vl", tmp_path))
    tuning = TuningOptions(kind="lora", rank=4, dropout=0.1, gradient_checkpointing=True)
    model = load_vlm(folder, tuning=tuning, device=torch.device("cuda")).train()
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    losses = []
    for _ in range(8):
        loss = model.token_loss(PROMPTS, ["red", "blue", "two"]).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("fusion", ["external", "internal"])
def test_vlm2rec_trains_on_the_gpu_and_its_run_ranks_on_the_cpu(fusion, tmp_path):
    folder = str(write_tiny_vlm("qwen2_vl", tmp_path / "checkpoint"))
    split = pictured_dataset(tmp_path / "pictures").leave_one_out()
    losses = {} if fusion == "external" else {"wpcl": None, "crtr": None}
    tuning = TuningOptions(kind="lora", gradient_checkpointing=True)
    spec = VLM2Rec(backbone=folder, fusion=fusion, max_len=4, chunk=5, tuning=tuning, **losses)
    options = TrainOptions(epochs=1, batch_size=8, device="cuda")
    run = fit(spec, split, tmp_path / "run", options=options, quiet=True)
    assert run.info["device"].startswith("cuda")
    lists = recommend(Run.load(tmp_path / "run"), ["i03", "i05"], k=5)
    assert lists["score"].is_finite().all()
