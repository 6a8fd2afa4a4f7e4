"""InternVL in its transformers layout: tiles of 16 pixels, 4 tokens each, and a thumbnail."""

from pathlib import Path

from tests.tiny_vlms import qwen2_vl
from tests.tiny_vlms.tokenizers import QWEN_SPLIT, write_tokenizer
from tests.tiny_vlms.writing import SPREAD, pixels, write_chat, write_json, write_model

ROLES = {
    "context_image_token": "<IMG_CONTEXT>",
    "end_image_token": "</img>",
    "start_image_token": "<img>",
    "video_token": "<video>",
}
SPECIALS = (*qwen2_vl.SPECIALS, "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
TILE = 16
TOKENS = 4  # a tile


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    ids = _write_text_files(folder)
    kind = {"processor_class": "InternVLProcessor"}
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "GotOcr2ImageProcessorFast",
            **kind,
            size={"height": TILE, "width": TILE},
            # As published; the processor asks for tiles all the same.
            crop_to_patches=False,
            min_patches=1,
            max_patches=4,
        ),
    )
    write_json(folder, "processor_config.json", {"image_seq_length": TOKENS, **kind})
    text = qwen2_vl.text_config(ids)
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **text, "rope_parameters": rope},
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "image_size": [TILE, TILE],
            "patch_size": [4, 4],
            "attention_bias": True,
            "layer_scale_init_value": 0.7,
            "initializer_range": SPREAD,
        },
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=TOKENS,
        tie_word_embeddings=tied,
    )
    write_model(folder, lambda: InternVLForConditionalGeneration(config), seed)


def _write_text_files(folder: Path) -> dict[str, int]:
    write_chat(
        folder,
        image="<IMG_CONTEXT>\n",
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
            "extra_special_tokens": ROLES,
            **ROLES,
            "add_prefix_space": False,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "unk_token": None,
            "processor_class": "InternVLProcessor",
            "return_token_type_ids": False,
        },
    )
