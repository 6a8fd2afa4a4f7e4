"""What a training step was estimated to hold against what it held, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.integration.step_prompts import step_prompts
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.vlm.device_speed import measure_speed
from vlmrec.vlm.estimating import StepRows, trace_step
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.outline import feature_width, load_outline

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")

FULL, LORA = {"kind": "full"}, {"kind": "lora"}
CASES = {
    "compact, full": ("compact", FULL, 10, 24, 4096, None),
    "compact, LoRA, gradient cache": ("compact", LORA, 16, 20, 4096, 8),
    "qwen2_vl, full": ("qwen2_vl", FULL, 50, 20, 8192, None),
    "mllama, LoRA": ("mllama", LORA, 40, 20, 8192, None),
}


@pytest.mark.parametrize("name", CASES)
def test_peak_is_within_a_fifth_of_the_measured_one(name, tmp_path):
    model, tuning, rows, words, budget, chunk = CASES[name]
    if model != "compact":
        model = str(write_tiny_vlm(model, tmp_path / model))
    case = {"model": model, "tuning": tuning, "rows": rows, "words": words, "budget": budget}
    measured = run({**case, "chunk": chunk})

    outline = load_outline(model, VlmOptions(tokens_per_batch=budget), TuningOptions(**tuning), CPU)
    histories, items, seen = step_prompts(outline, rows, words, "meta")
    laid_out = [outline.layout.rows(part, seen) for part in (histories, items)]
    speed = measure_speed(CPU, torch.float32, outline.width, 4 * outline.width)
    costs = trace_step(outline, *laid_out, feature_width(outline.family), speed)
    lengths = [[len(row) for row in part] for part in laid_out]
    step = StepRows(*lengths, sum(len(one.values) for one in seen.values()))
    total = costs.memory(step, chunk).total
    seconds = costs.seconds(step, twice=chunk is not None)

    ratios = {
        "live": total / measured["live"],
        "resident": total / measured["resident"],
        "seconds": seconds / measured["seconds"],
    }
    shown = {key: round(ratio, 2) for key, ratio in ratios.items()}
    print(f"{name}: estimated {total / 1e6:.0f} MB, estimate to measured {shown}")
    assert measured["live"] > 60e6  # tensors, not small change
    assert 0.8 < ratios["live"] < 1.2
    assert 0.8 < ratios["resident"] < 1.2
    assert 0.2 < ratios["seconds"] < 5  # rough: other processes share the machine


def run(case):
    # Without it, glibc keeps freed memory for itself, and the process seems to hold more.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.measured_step", json.dumps(case)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
