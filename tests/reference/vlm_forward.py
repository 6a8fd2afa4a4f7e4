"""The plain way through transformers: the family's own processor, then the family's own model.

A prompt is a list of `("text", str)`, `("image", PIL.Image)` and `("special", token)`. The pieces
are joined without anything between them; an image is written as its family's placeholder, which
the processor expands. By default a start token is added by

- qwen2_vl, qwen2_5_vl, qwen3_vl, internvl: nobody, they have none;
- smolvlm: nobody, although it has one;
- deepseek_vl: the tokenizer, one in front of everything;
- mllama: both. The processor writes one behind the images that open the prompt (in front of a
  prompt that opens otherwise), unless the prompt holds one already; the tokenizer puts another in
  front of everything. A prompt that brings its own, with `add_special_tokens=False`, has just that
  one: so the chat template gets the form the model was trained on.

In mllama a token that no picture is shown to (text before the first picture, or a prompt without
one beside prompts with) still receives the plain average of its row's pictures, padding included:
transformers masks the feed-forward part of such tokens, not the attention. Its batches equal its
prompts one by one only where all prompts have the same number of pictures.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

Part = tuple[str, Any]

_PLACEHOLDERS = {
    "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "internvl": "<IMG_CONTEXT>",
    "deepseek_vl": "<image_placeholder>",
    "mllama": "<|image|>",
    "smolvlm": "<image>",
}
# These processors want the pictures of every prompt in a list of its own.
_NESTED = {"mllama", "smolvlm"}


@dataclass(frozen=True)
class DirectStates:
    """What the model says of a batch of prompts, padding included.

    Attributes:
        input_ids: [B, T].
        attention_mask: [B, T], 1 at real tokens.
        is_image: [B, T] bool, the positions that hold a piece of a picture.
        last_hidden_state: [B, T, D].
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    is_image: torch.Tensor
    last_hidden_state: torch.Tensor

    def rows(self) -> list[torch.Tensor]:
        """Every prompt's states without padding, [T_i, D] each."""
        pairs = zip(self.last_hidden_state, self.attention_mask.bool(), strict=True)
        return [states[mask] for states, mask in pairs]

    def last(self) -> torch.Tensor:
        """The state of every prompt's last real token, [B, D]."""
        return torch.stack([row[-1] for row in self.rows()])


def load_direct(folder: Path) -> tuple[Any, Any]:
    """The checkpoint's model in evaluation mode, and its processor built without video part."""
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, use_safetensors=True)
    settings = _read(folder / "processor_config.json")
    pixels = _read(folder / "preprocessor_config.json")
    cls = getattr(transformers, settings.pop("processor_class", pixels["processor_class"]))
    # The video processors need torchvision. The class's own set-up runs; only the check that a
    # video processor is one is left out.
    no_check = {"check_argument_for_proper_class": lambda self, name, part: type(part)}
    no_video = {"video_processor": None} if "video_processor" in cls.get_attributes() else {}
    processor = type(cls.__name__, (cls,), no_check)(
        image_processor=transformers.AutoImageProcessor.from_pretrained(folder),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        **no_video,
        **settings,
    )
    return model.eval(), processor


def direct_inputs(
    model: Any,
    processor: Any,
    prompts: Sequence[Sequence[Part]],
    *,
    padding_side: str = "right",
    add_special_tokens: bool = True,
) -> dict[str, torch.Tensor]:
    """What the processor of `load_direct` makes of the prompts: the arguments of the model."""
    family = model.config.model_type
    written = {"image": lambda _: _PLACEHOLDERS[family]}
    texts = ["".join(written.get(kind, str)(x) for kind, x in parts) for parts in prompts]
    nested = [[x for kind, x in parts if kind == "image"] for parts in prompts]
    flat = [image for images in nested for image in images]
    inputs = processor(
        text=texts,
        images=(nested if family in _NESTED else flat) if flat else None,
        padding=True,
        padding_side=padding_side,
        add_special_tokens=add_special_tokens,
        return_tensors="pt",
    )
    return dict(inputs)


@torch.no_grad()
def direct_states(
    folder: Path,
    prompts: Sequence[Sequence[Part]],
    *,
    padding_side: str = "right",
    add_special_tokens: bool = True,
) -> DirectStates:
    """The last hidden states of a padded batch of prompts."""
    model, processor = _loaded(folder)
    inputs = direct_inputs(
        model, processor, prompts, padding_side=padding_side, add_special_tokens=add_special_tokens
    )
    states = model.model(**inputs).last_hidden_state
    is_image = inputs["input_ids"] == processor.image_token_id
    return DirectStates(inputs["input_ids"], inputs["attention_mask"], is_image, states)


@torch.no_grad()
def direct_token_loss(
    folder: Path,
    prompts: Sequence[Sequence[Part]],
    answers: Sequence[str],
    *,
    add_special_tokens: bool = True,
) -> torch.Tensor:
    """Mean cross-entropy of every answer's tokens and the end token, [n]; one prompt at a time."""
    model, processor = _loaded(folder)
    losses = []
    for prompt, answer in zip(prompts, answers, strict=True):
        inputs = direct_inputs(model, processor, [prompt], add_special_tokens=add_special_tokens)
        ids = processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
        target = torch.tensor([*ids, processor.tokenizer.eos_token_id])
        logits = model(**_with_answer(inputs, target)).logits[0]
        losses.append(F.cross_entropy(logits[-len(target) - 1 : -1], target))
    return torch.stack(losses)


@torch.no_grad()
def direct_answer(
    folder: Path, prompt: Sequence[Part], most: int, *, add_special_tokens: bool = True
) -> list[int]:
    """The tokens of the greedy answer to one prompt, the end token included."""
    model, processor = _loaded(folder)
    inputs = direct_inputs(model, processor, [prompt], add_special_tokens=add_special_tokens)
    end = processor.tokenizer.eos_token_id
    made = model.generate(
        **inputs, max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=end
    )
    return made[0, inputs["input_ids"].shape[1] :].tolist()


def _loaded(folder: Path) -> tuple[Any, Any]:
    return _loaded_once(folder, (folder / "model.safetensors").stat().st_mtime_ns)


@lru_cache(maxsize=len(_PLACEHOLDERS))
def _loaded_once(folder: Path, written: int) -> tuple[Any, Any]:
    """The checkpoint as it was at one time, for the calls that only read it."""
    del written
    return load_direct(folder)


def _with_answer(inputs: dict[str, Any], answer: torch.Tensor) -> dict[str, Any]:
    """The inputs of one prompt, continued by the answer's tokens."""
    more = {
        "input_ids": answer[None],
        "attention_mask": torch.ones_like(answer)[None],
        "mm_token_type_ids": torch.zeros_like(answer)[None],
    }
    if "cross_attention_mask" in inputs:
        # [1, T, images, tiles]: what the prompt's last token sees, the answer sees.
        last = inputs["cross_attention_mask"][:, -1:]
        more["cross_attention_mask"] = last.expand(-1, len(answer), -1, -1)
    joined = {name: torch.cat([inputs[name], more[name]], 1) for name in more if name in inputs}
    return {**inputs, **joined}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
