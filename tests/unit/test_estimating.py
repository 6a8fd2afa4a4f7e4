from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from vlmrec.core.errors import ConfigError
from vlmrec.core.memory import parse_bytes
from vlmrec.pipeline.advice import judge
from vlmrec.pipeline.plans import PROGRAM, Plan
from vlmrec.vlm.estimating import Memory, StepCosts, StepRows, trace_step
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.outline import CountingTokenizer, feature_width, known_tokenizer, load_outline
from vlmrec.vlm.passages import Passage
from vlmrec.vlm.prompts import make_prompt
from vlmrec.vlm.shapes import PUBLISHED
from vlmrec.vlm.tracing import Meter, Speed, WithoutData, backward

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "count"),
    [("24GB", 24e9), ("24GiB", 24 * 2**30), ("8000MB", 8e9), ("1.5 gb", 1.5e9), ("16G", 16e9)],
)
def test_amounts_of_memory(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "lots", "GB", "-3GB", "0GB", "24XB", "24 GB RAM"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ConfigError, match=r"no amount of memory. Write a number and a unit"):
        parse_bytes(text)


def test_meter_counts_new_tensors_and_not_views_or_older_ones():
    older = torch.empty(100, 100, device="meta")
    meter = Meter()
    with meter:
        older.t()
        assert meter.now == 0
        made = older + 1  # 40,000 bytes
        made.view(-1)
        assert meter.now == 40_000
        other = made * 2
        del made
        assert (meter.now, meter.peak) == (40_000, 80_000)
        del other
    assert meter.now == 0


def test_meter_takes_the_longer_of_computing_and_moving():
    meter = Meter(Speed(operations=1e6, bytes=1e9))
    with meter:
        torch.empty(10, 20, device="meta") @ torch.empty(20, 30, device="meta")
        assert meter.seconds == pytest.approx(2 * 10 * 20 * 30 / 1e6)
        meter.restart()
        torch.empty(1000, device="meta") + 1  # reads and writes 4,000 bytes each
        assert meter.seconds == pytest.approx(8000 / 1e9)


def test_attention_keeps_what_the_fused_kernels_keep():
    meter = Meter()
    parts = [torch.empty(2, 4, 8, 16, device="meta", requires_grad=True) for _ in range(3)]
    mask = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    with WithoutData(meter), meter:
        out = F.scaled_dot_product_attention(*parts, attn_mask=mask)
        # Output, a number a row, and the mask as numbers; its boolean form is freed.
        assert meter.now == 4 * (2 * 4 * 8 * 16 + 2 * 4 * 8 + 2 * 8 * 8)
        backward(out, torch.empty_like(out))
    assert all(part.grad is not None and part.grad.shape == part.shape for part in parts)


def traced(kind, *, again=False, words=40, budget=512, speed=None):
    tuning = TuningOptions(kind=kind, gradient_checkpointing=again)
    model = load_outline("tiny", VlmOptions(tokens_per_batch=budget), tuning, CPU)
    rows = model.layout.rows([make_prompt("w" * words), make_prompt("w" * 5)], {})
    return model, trace_step(model, rows[:1], rows[1:], feature_width(model.family), speed)


def test_weights_that_learn_are_those_that_a_step_reaches():
    model, costs = traced("full")
    head = {"head.weight", "head.bias", "bias"}  # only generation uses them
    reached = [
        one
        for name, one in model.family.network.named_parameters()
        if not name.startswith(("tower", "projector")) and name not in head
    ]
    assert costs.trained == sum(4 * one.numel() for one in reached)
    _, lora = traced("lora")
    ranks = 16 * (5 * (32 + 32) + (32 + 64)) + 16 * (64 + 32) - 16 * (32 + 32)
    assert lora.trained == 2 * 4 * ranks  # two layers: q, k, v, o, up, down
    assert lora.weights == costs.weights + lora.trained


def test_checkpointing_keeps_the_input_of_each_layer_only():
    _, plain = traced("full")
    _, again = traced("full", again=True)
    states = again.large.tokens * 32 * 4
    # Embedding and its normalisation, two layers' inputs, the last states.
    assert 2 * states < again.large.kept < 7 * states < plain.large.kept
    assert again.large.later_extra > plain.large.later_extra


def passage(tokens, kept, later, first=0):
    return Passage(tokens, 10, kept, 0, first, later, 1.0, 2.0)


SMALL, LARGE = passage(20, 200, 30, first=50), passage(100, 1000, 110, first=130)
COSTS = StepCosts(4, 8, 100, 5000, 60, LARGE, SMALL, Speed(1.0, 7.0))


def test_a_step_is_put_together_bucket_by_bucket():
    memory = COSTS.memory(StepRows([10] * 20, [10] * 10, 6))
    assert (memory.weights, memory.gradients, memory.optimiser) == (5000, 60, 120)
    assert memory.pictures == 6 * 8 * 2
    assert memory.loss == 4 * 30 * 4 * 4 + 3 * 20 * 10 * 4
    # 300 tokens keep 3000; the first bucket's backward pass adds 130, the next one's 110 to
    # 2000 and all gradients.
    assert memory.temporary == 110
    assert memory.activations + memory.temporary + memory.gradients == 3130


def test_gradients_come_up_while_activations_go():
    heavy = replace(COSTS, trained=5000)
    rows = StepRows([10] * 20, [10] * 10, 6)
    # Two of three buckets are left when the second goes back, and every gradient is there.
    assert heavy.memory(rows).activations == 2000
    assert COSTS.memory(rows).activations == 3130 - 110 - 60


def test_the_gradient_cache_needs_the_memory_of_a_chunk():
    few, many = (COSTS.memory(StepRows([10] * n, [10] * n, 6), 5) for n in (40, 400))
    assert (
        few.activations
        == many.activations
        < COSTS.memory(StepRows([10] * 40, [10] * 40, 6)).activations
    )
    rows = StepRows([10] * 20, [10] * 10, 6)
    assert COSTS.seconds(rows) == pytest.approx(3 * 3.0 + 7 * 60 / 7)
    assert COSTS.seconds(rows, twice=True) == pytest.approx(3 * 4.0 + 7 * 60 / 7)


def plan(kind, fits, largest):
    memory = Memory(1, 1, 1, 1, 1, 1, 1)
    return Plan(kind, TuningOptions(kind=kind), None, memory, fits, largest, None, None)


@pytest.mark.parametrize(
    ("asked", "full", "lora", "verdict"),
    [
        (None, (True, 64), (True, 99), "Fits: full"),
        (None, (False, 8), (True, 99), "Fits: lora"),
        ("lora", (True, 64), (True, 99), "Fits: lora"),
        ("full", (False, 8), (True, 99), "Fits with a smaller batch only: full, batch 8"),
        ("full", (False, 0), (True, 99), "Fits: lora"),
        (None, (False, 0), (False, 0), "Does not fit"),
    ],
)
def test_the_advised_plan(asked, full, lora, verdict):
    facts = {
        "batch": 32,
        "pictures_dropped": 0,
        "texts_cut": 0,
        "tflops": 1.0,
        "device": "cuda",
        "memory_bytes": 10**9,
        "history": 10,
        "tokens_per_picture": 4,
        "budgets": ["visual_tokens"],
        "dtype": "float32",
    }
    found = judge(facts, [plan("full", *full), plan("lora", *lora)], asked, 2 * PROGRAM)
    assert found.verdict.startswith(verdict)
    if found.advised is None:
        assert any("--history 5" in way for way in found.advice)
        assert any("vlm.visual_tokens" in way for way in found.advice)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_give_the_number_of_weights_without_loading_any(name):
    model = load_outline(name, VlmOptions(), TuningOptions(), torch.device("cuda"))
    assert sum(one.numel() for one in model.family.network.parameters()) == (
        PUBLISHED[name].parameters
    )
    assert all(one.is_meta for one in model.parameters())
    assert not known_tokenizer(model)


def test_letters_are_counted_where_no_tokenizer_is_at_hand():
    tokenizer = CountingTokenizer({"<image>": 7})
    assert len(tokenizer("nine char")["input_ids"]) == 3
    assert tokenizer("abcd<image><image>\n")["input_ids"] == [0, 7, 7, 0]
    assert len(tokenizer(["abcd", "abcde"])["input_ids"][1]) == 2


def test_unknown_model_is_refused_without_a_download():
    with pytest.raises(ConfigError, match="Did you mean 'Qwen/Qwen2-VL-2B-Instruct'"):
        load_outline("Qwen/Qwen2-VL-2B-Instruc", VlmOptions(), TuningOptions(), CPU)
