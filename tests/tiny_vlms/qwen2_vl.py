"""Qwen2-VL: pictures of any size, one token for 8 x 8 pixels, positions in three directions."""

from pathlib import Path

from tests.tiny_vlms.tokenizers import QWEN_SPLIT, write_tokenizer
from tests.tiny_vlms.writing import SPREAD, pixels, write_chat, write_json, write_model

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# 4 to 16 tokens a picture.
PIXELS = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
FEWEST, MOST = 4 * 8 * 8, 16 * 8 * 8


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    ids = write_text_files(folder)
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "Qwen2VLImageProcessor",
            processor_class="Qwen2VLProcessor",
            min_pixels=FEWEST,
            max_pixels=MOST,
            **PIXELS,
        ),
    )
    config = Qwen2VLConfig(
        text_config=text_config(ids),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": SPREAD,
        },
        tie_word_embeddings=tied,
        **special_ids(ids),
    )
    write_model(folder, lambda: Qwen2VLForConditionalGeneration(config), seed)


def write_text_files(folder: Path) -> dict[str, int]:
    """Writes tokenizer and chat template, which all Qwen generations share; returns the ids."""
    write_chat(
        folder,
        image="<|vision_start|><|image_pad|><|vision_end|>",
        opening="<|im_start|>ROLE\n",
        closing="<|im_end|>\n",
    )
    return write_tokenizer(
        folder,
        specials=SPECIALS,
        split=QWEN_SPLIT,
        nfc=True,
        settings={
            "tokenizer_class": "Qwen2Tokenizer",
            "additional_special_tokens": list(SPECIALS[1:]),
            "add_prefix_space": False,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": None,
            "errors": "replace",
            "split_special_tokens": False,
            "padding_side": "left",
        },
    )


def text_config(ids: dict[str, int]) -> dict[str, object]:
    """The language model, with the spare rows that real Qwen checkpoints have too."""
    return {
        "vocab_size": ids[""] + 8,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 1024,
        "initializer_range": SPREAD,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [1, 1, 2],
            "rope_theta": 10000.0,
        },
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }


def special_ids(ids: dict[str, int]) -> dict[str, int]:
    """The ids that the config repeats from the tokenizer."""
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }
