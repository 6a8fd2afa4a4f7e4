"""Llama-3.2-Vision: pictures reach the text by cross-attention, one token marks each of them."""

from pathlib import Path

from tests.tiny_vlms.tokenizers import LLAMA3_SPLIT, write_tokenizer
from tests.tiny_vlms.writing import SPREAD, pixels, write_chat, write_json, write_model

BOS = "<|begin_of_text|>"
IMAGE = "<|image|>"
SPECIALS = (
    BOS,
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    # Last, as in the real vocabulary: the output layer has no row for it.
    IMAGE,
)
TILE = 16
TILES = 4


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint.

    Raises:
        ValueError: `tied`, which the shapes of this family forbid.
    """
    from transformers import MllamaConfig, MllamaForConditionalGeneration

    if tied:
        raise ValueError("mllama cannot be tied: it has 8 word embeddings more than outputs")
    ids = _write_text_files(folder)
    kind = {"processor_class": "MllamaProcessor"}
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "MllamaImageProcessor",
            **kind,
            size={"height": TILE, "width": TILE},
            do_pad=True,
            max_image_tiles=TILES,
        ),
    )
    write_json(folder, "processor_config.json", kind)
    config = MllamaConfig(
        text_config=_text_config(ids),
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_size": 48,
            "image_size": TILE,
            "patch_size": 4,
            "max_num_tiles": TILES,
            # The last layer's states beside those of two layers on the way.
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 3 * 32,
            "initializer_range": SPREAD,
        },
        image_token_index=ids[IMAGE],
    )
    write_model(folder, lambda: MllamaForConditionalGeneration(config), seed)


def _text_config(ids: dict[str, int]) -> dict[str, object]:
    return {
        "vocab_size": ids[IMAGE],
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "cross_attention_layers": [1, 3],
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 1024,
        "initializer_range": SPREAD,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "bos_token_id": ids[BOS],
        "eos_token_id": ids["<|eot_id|>"],
        "pad_token_id": ids["<|finetune_right_pad_id|>"],
    }


def _write_text_files(folder: Path) -> dict[str, int]:
    write_chat(
        folder,
        image=IMAGE,
        start=BOS,
        opening="<|start_header_id|>ROLE<|end_header_id|>\n\n",
        closing="<|eot_id|>",
    )
    return write_tokenizer(
        folder,
        specials=SPECIALS,
        split=LLAMA3_SPLIT,
        bos=BOS,
        settings={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": "<|eot_id|>",
            "pad_token": "<|finetune_right_pad_id|>",
            "model_input_names": ["input_ids", "attention_mask"],
            "processor_class": "MllamaProcessor",
        },
    )
