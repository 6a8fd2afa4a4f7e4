"""DeepSeek-VL: every picture padded to one square of 16 pixels, always 16 tokens."""

from pathlib import Path

from tests.tiny_vlms.tokenizers import write_tokenizer
from tests.tiny_vlms.writing import SPREAD, pixels, write_chat, write_json, write_model

# The bars and blanks of the real names: U+FF5C and U+2581.
BOS = "<\uff5cbegin\u2581of\u2581sentence\uff5c>"
EOS = "<\uff5cend\u2581of\u2581sentence\uff5c>"
PAD = "<\uff5c\u2581pad\u2581\uff5c>"
IMAGE = "<image_placeholder>"
SIZE = 16
TOKENS = 16  # a picture


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration

    ids = _write_text_files(folder)
    kind = {"processor_class": "DeepseekVLProcessor"}
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "DeepseekVLImageProcessor",
            **kind,
            size={"height": SIZE, "width": SIZE},
            min_size=4,
            do_pad=True,
        ),
    )
    write_json(folder, "processor_config.json", {"num_image_tokens": TOKENS, **kind})
    config = DeepseekVLConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": ids[""] + 8,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 1024,
            "initializer_range": SPREAD,
            "bos_token_id": ids[BOS],
            "eos_token_id": ids[EOS],
            "pad_token_id": ids[PAD],
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "image_size": SIZE,
            "patch_size": 4,
            "vision_use_head": False,
        },
        image_token_id=ids[IMAGE],
        tie_word_embeddings=tied,
    )
    write_model(folder, lambda: DeepseekVLForConditionalGeneration(config), seed)


def _write_text_files(folder: Path) -> dict[str, int]:
    write_chat(folder, image=IMAGE, opening="ROLE: ", closing="\n\n")
    return write_tokenizer(
        folder,
        specials=(BOS, EOS, PAD, "<|User|>", "<|Assistant|>", IMAGE),
        bos=BOS,
        settings={
            "tokenizer_class": "LlamaTokenizerFast",
            "add_bos_token": True,
            "add_eos_token": False,
            "extra_special_tokens": {"image_token": IMAGE},
            "image_token": IMAGE,
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": PAD,
            "unk_token": None,
            "legacy": True,
            "processor_class": "DeepseekVLProcessor",
        },
    )
