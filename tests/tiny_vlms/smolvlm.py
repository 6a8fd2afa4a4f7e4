"""SmolVLM: a picture as rows and columns of tiles of 16 pixels, 4 tokens each, and as a whole."""

from pathlib import Path

from tests.tiny_vlms.tokenizers import write_tokenizer
from tests.tiny_vlms.writing import SPREAD, pixels, write_chat, write_json, write_model

ROLES = {
    "end_of_utterance_token": "<end_of_utterance>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": "<image>",
}
PLACES = tuple(f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7))
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<global-img>",
    *PLACES,
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
)
TILE = 16
TOKENS = 4  # a tile


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

    ids = _write_text_files(folder)
    kind = {"processor_class": "SmolVLMProcessor"}
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "SmolVLMImageProcessor",
            **kind,
            resample=1,
            do_image_splitting=True,
            do_pad=True,
            max_image_size={"longest_edge": TILE},
            # At most 2 x 2 tiles.
            size={"longest_edge": 2 * TILE},
        ),
    )
    write_json(folder, "processor_config.json", {"image_seq_len": TOKENS, **kind})
    config = SmolVLMConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": ids[""],
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 1024,
            "initializer_range": SPREAD,
            "bos_token_id": ids["<|im_start|>"],
            "eos_token_id": ids["<end_of_utterance>"],
            "pad_token_id": ids["<|im_end|>"],
        },
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "image_size": TILE,
            "patch_size": 4,
            "initializer_range": SPREAD,
        },
        scale_factor=2,
        image_token_id=ids["<image>"],
        pad_token_id=ids["<|im_end|>"],
        tie_word_embeddings=tied,
    )
    write_model(folder, lambda: SmolVLMForConditionalGeneration(config), seed)


def _write_text_files(folder: Path) -> dict[str, int]:
    write_chat(
        folder,
        image="<image>",
        start="<|im_start|>",
        opening="ROLE: ",
        closing="<end_of_utterance>\n",
    )
    return write_tokenizer(
        folder,
        specials=SPECIALS,
        settings={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "additional_special_tokens": list(ROLES.values())[:-1],
            "extra_special_tokens": ROLES,
            **ROLES,
            "add_prefix_space": False,
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "truncation_side": "left",
            "processor_class": "SmolVLMProcessor",
        },
    )
