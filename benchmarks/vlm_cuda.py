"""Qwen2-VL-2B's shape on a GPU: items a second and share of its arithmetic, beside plain loops.

    python -m benchmarks.vlm_cuda [--peak-tflops 989] [--quick]

Random weights of the published shape in bfloat16; nothing is downloaded. Made-up items: one
picture of 224 x 224 (64 tokens) and 20 to 200 words. Two tasks:

- embed: one vector an item; a plain transformers loop pads batches in order to their longest
- lora: a contrastive step on the same items, LoRA of rank 16, gradient checkpointing

The share is model FLOPs (2 a weight and token forward; a LoRA step counts forward twice and the
backward pass to activations once, so 3 times) over seconds and the peak that is given. With
--quick a toy runs on whatever device there is, so that the script itself is tested.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result
from vlmrec.vlm.collating import collate
from vlmrec.vlm.families.qwen2_vl import Qwen2VL
from vlmrec.vlm.layout import PromptLayout, Template
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import Prompt, make_prompt
from vlmrec.vlm.tuning import apply_tuning

COLUMNS = ("task", "side", "items_per_s", "model_tflops", "share_of_peak", "peak_gib", "ratio")
# The published shape of Qwen2-VL-2B (its config.json).
TEXT = {
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
}
VISION = {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16, "mlp_ratio": 4}
TOY_TEXT = {
    **TEXT,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
}
TOY_VISION = {"depth": 1, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2}
SPECIALS = ("<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def build(device: torch.device, *, quick: bool, options: VlmOptions) -> VisionLanguageModel:
    """Returns the model with random weights, as loading the real checkpoint would."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = _tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIALS}
    config = Qwen2VLConfig(
        text_config=TOY_TEXT if quick else TEXT,
        vision_config=TOY_VISION if quick else VISION,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.device(device):
        network = Qwen2VLForConditionalGeneration(config).to(dtype).eval()
    family = Qwen2VL(network, tokenizer, Qwen2VLImageProcessorPil(), {})
    return VisionLanguageModel(family, options, Template(), device)


def items(n: int, seed: int = 0) -> list[Prompt]:
    """Returns made-up items, each with its own picture and 20 to 200 words."""
    rng = np.random.default_rng(seed)
    made: list[Prompt] = []
    for _ in range(n):
        noise = rng.integers(0, 255, (7, 7, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(noise).resize((224, 224)).save(data, "JPEG")
        words = " ".join(f"w{rng.integers(0, 9999)}" for _ in range(rng.integers(20, 200)))
        made.append(make_prompt(data.getvalue(), words))
    return made


def plain_vectors(
    model: VisionLanguageModel, layout: PromptLayout, prompts: Sequence[Prompt], size: int
) -> torch.Tensor:
    """Encodes as a plain loop over transformers does: in order, padded, every picture anew."""
    family, parts = model.family, []
    for start in range(0, len(prompts), size):
        chunk = prompts[start : start + size]
        pixels = {
            part.source: family.prepare(Image.open(io.BytesIO(part.source)).convert("RGB"))  # pyright: ignore
            for prompt in chunk
            for part in prompt
            if hasattr(part, "source")
        }
        # Shapes alone lay a prompt out; the model's own forward runs the tower.
        shapes = {source: _Shape(one.shape) for source, one in pixels.items()}
        batch = collate(layout.rows(chunk, shapes), family.pad, "right", model.device)  # pyright: ignore
        states = family.network.model(
            input_ids=batch.ids,
            attention_mask=batch.mask.long(),
            pixel_values=torch.cat([one.tensors["pixel_values"] for one in pixels.values()]).to(
                model.device
            ),
            image_grid_thw=torch.tensor([one.shape for one in pixels.values()]).to(model.device),
            mm_token_type_ids=batch.filled.int(),
            use_cache=False,
        ).last_hidden_state
        last = batch.mask.sum(1) - 1
        parts.append(states[torch.arange(len(chunk)), last].float())
    return torch.cat(parts)


def _no_special(name: str) -> int:
    raise ValueError(name)


class _Shape:
    """What layout asks of visual features, before there are any."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def flops_of(model: VisionLanguageModel, prompts: Sequence[Prompt]) -> float:
    """Returns the model FLOPs of one forward pass over prompts without padding."""
    body = sum(w.numel() for w in model.family.language.layers.parameters())  # pyright: ignore
    tower = sum(w.numel() for part in model.family.vision for w in part.parameters())
    words = sum(
        len(model.family.tokenizer(part.text)["input_ids"])
        for prompt in prompts
        for part in prompt
        if hasattr(part, "text")
    )
    pictures = sum(hasattr(part, "source") for prompt in prompts for part in prompt)
    return 2.0 * body * (words + 66 * pictures) + 2.0 * tower * 256 * pictures


def timed(work: Callable[[], Any], device: torch.device, repeats: int) -> tuple[float, float]:
    """Returns the least seconds, and the peak of memory in GiB, after one warm-up."""
    work()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    best = float("inf")
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        best = min(best, time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return best, peak


def contrast(vectors: torch.Tensor) -> torch.Tensor:
    """Returns a contrastive loss of neighbours, which couples all items."""
    unit = F.normalize(vectors, dim=-1)
    goal = torch.arange(len(unit), device=unit.device).roll(1)
    return F.cross_entropy(unit @ unit.T / 0.07, goal)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs both tasks on both sides."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n, size, repeats = (8, 4, 1) if options.quick else (options.items, options.batch, 3)
    prompts = items(n)
    rows: list[dict[str, Any]] = []
    model = build(device, quick=options.quick, options=VlmOptions(tokens_per_batch=size * 400))
    layout = PromptLayout(model.family, Template(), model.family.max_positions, _no_special)
    forward = flops_of(model, prompts)
    with torch.no_grad():
        rows += _pair(
            "embed",
            {
                "vlmrec": lambda: model.encode(prompts),
                "plain": lambda: plain_vectors(model, layout, prompts, size),
            },
            (n, forward, device, repeats, options.peak_tflops),
        )
    batch = prompts[: 4 if options.quick else options.batch]
    apply_tuning(model, TuningOptions(kind="lora", gradient_checkpointing=True))
    model.train()
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-4)

    def step(encode: Callable[[], torch.Tensor]) -> Callable[[], None]:
        def once() -> None:
            contrast(encode()).backward()
            optimizer.step()
            optimizer.zero_grad()

        return once

    rows += _pair(
        "lora",
        {
            "vlmrec": step(lambda: model.encode(batch)),
            "plain": step(lambda: plain_vectors(model, layout, batch, len(batch))),
        },
        (len(batch), 3 * flops_of(model, batch), device, repeats, options.peak_tflops),
    )
    return rows


def _pair(
    task: str,
    sides: dict[str, Callable[[], Any]],
    facts: tuple[int, float, torch.device, int, float],
) -> list[dict[str, Any]]:
    n, flops, device, repeats, peak_tflops = facts
    rows: list[dict[str, Any]] = []
    for side, work in sides.items():
        seconds, peak = timed(work, device, repeats)
        rows.append(
            {
                "task": task,
                "side": side,
                "items_per_s": n / seconds,
                "model_tflops": flops / seconds / 1e12,
                "share_of_peak": flops / seconds / 1e12 / peak_tflops,
                "peak_gib": peak,
                "seconds": seconds,
            }
        )
    rows[0]["ratio"] = rows[1]["seconds"] / rows[0]["seconds"]
    print(format_table(rows, COLUMNS), flush=True)
    return rows


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=SPECIALS[0],
        eos_token=SPECIALS[0],
        additional_special_tokens=list(SPECIALS[1:]),
    )


def main() -> None:
    """Measures, prints tables, writes the result."""
    parser = options_parser("vlm_cuda", __doc__)
    parser.add_argument("--items", type=int, default=512, help="items to embed")
    parser.add_argument("--batch", type=int, default=32, help="items in a batch and in a step")
    parser.add_argument(
        "--peak-tflops", type=float, default=989.0, help="dense bfloat16 peak of the GPU"
    )
    options = parser.parse_args()
    if not options.quick and not torch.cuda.is_available():
        parser.exit(0, "no CUDA device here: nothing is measured (try --quick)\n")
    rows = measure(options)
    machine = describe_machine()
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    write_result(result_path("vlm_cuda", options), {"machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
