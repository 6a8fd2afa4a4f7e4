"""Random vision-language checkpoints of a few hundred kilobytes, in the layout of the real ones.

Every family is written as its published checkpoints are: weights, config, a trained tokenizer with
the family's own special tokens, image processor, processor config and chat template. A test loads
them by the path a user's checkpoint takes.
"""

from pathlib import Path

from tests.tiny_vlms import (
    deepseek_vl,
    internvl,
    mllama,
    qwen2_5_vl,
    qwen2_vl,
    qwen3_vl,
    smolvlm,
    text_only,
)

_WRITERS = {
    "qwen2_vl": qwen2_vl.write,
    "qwen2_5_vl": qwen2_5_vl.write,
    "qwen3_vl": qwen3_vl.write,
    "internvl": internvl.write,
    "deepseek_vl": deepseek_vl.write,
    "mllama": mllama.write,
    "smolvlm": smolvlm.write,
}

FAMILIES = tuple(_WRITERS)


def write_tiny_vlm(family: str, folder: Path, *, seed: int = 0, tied: bool = False) -> Path:
    """Writes a random checkpoint of one family.

    Args:
        family: One of `FAMILIES`, the `model_type` of its config.
        folder: Where to write; made if missing, files of an earlier call are replaced.
        seed: Decides the weights; the tokenizer is the same for every seed.
        tied: Whether the output layer shares the word embeddings. `mllama` has no such form.

    Returns:
        `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _WRITERS[family](folder, seed, tied)
    return folder


def write_text_only(folder: Path, *, seed: int = 0) -> Path:
    """Writes a random Qwen2 without any vision part, for the test of a wrong checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    text_only.write(folder, seed)
    return folder


__all__ = ["FAMILIES", "write_text_only", "write_tiny_vlm"]
