"""Sizes of published checkpoints, so that memory can be estimated before one is downloaded.

The numbers are those of the checkpoints' own config.json, preprocessor_config.json and
processor_config.json; what is not given here is the default of transformers for the family.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Sizes of one checkpoint.

    Attributes:
        config: Of config.json.
        pictures: Of preprocessor_config.json.
        parameters: Number of weights, as transformers builds it from `config`.
        settings: Of processor_config.json.
    """

    config: dict[str, Any]
    pictures: dict[str, Any]
    parameters: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


_QWEN2_PICTURES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 3136,
    "max_pixels": 12845056,
}
_QWEN3_PICTURES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 65536,
    "max_pixels": 16777216,
}
_QWEN_IDS = {
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
}


def _text(
    width: int, inner: int, layers: int, heads: int, shared: int, words: int
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "vocab_size": words,
    }


def _qwen2(text: dict[str, Any], tied: bool, parameters: int) -> Shape:
    rope = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
    return Shape(
        {
            "model_type": "qwen2_vl",
            **_QWEN_IDS,
            "text_config": {**text, "max_position_embeddings": 32768, "rope_parameters": rope},
            "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": text["hidden_size"]},
            "tie_word_embeddings": tied,
        },
        _QWEN2_PICTURES,
        parameters,
    )


def _qwen3(text: dict[str, Any], vision: dict[str, Any], tied: bool, parameters: int) -> Shape:
    rope = {
        "rope_type": "default",
        "mrope_interleaved": True,
        "mrope_section": [24, 20, 20],
        "rope_theta": 5e6,
    }
    own = {"head_dim": 128, "max_position_embeddings": 262144, "rope_parameters": rope}
    return Shape(
        {
            "model_type": "qwen3_vl",
            **_QWEN_IDS,
            "text_config": {**text, **own},
            "vision_config": {**vision, "out_hidden_size": text["hidden_size"]},
            "tie_word_embeddings": tied,
        },
        _QWEN3_PICTURES,
        parameters,
    )


def _internvl(text: dict[str, Any], parameters: int) -> Shape:
    return Shape(
        {
            "model_type": "internvl",
            "image_token_id": 151667,
            "text_config": {"model_type": "qwen2", **text},
            "vision_config": {"attention_bias": True},
            "tie_word_embeddings": False,
        },
        {
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "size": {"height": 448, "width": 448},
        },
        parameters,
        {"image_seq_length": 256},
    )


def _smolvlm(
    text: dict[str, Any], vision: dict[str, Any], scale: int, edge: int, parameters: int
) -> Shape:
    tile = vision["image_size"]
    own = {"model_type": "llama", "head_dim": 64, "max_position_embeddings": 8192}
    return Shape(
        {
            "model_type": "smolvlm",
            "image_token_id": 49190,
            "scale_factor": scale,
            "text_config": {**own, **text, "pad_token_id": 2},
            "vision_config": vision,
            "tie_word_embeddings": False,
        },
        {
            "image_processor_type": "SmolVLMImageProcessor",
            "max_image_size": {"longest_edge": tile},
            "size": {"longest_edge": edge},
        },
        parameters,
        {"image_seq_len": (tile // vision["patch_size"] // scale) ** 2},
    )


_QWEN2_5 = Shape(
    {
        "model_type": "qwen2_5_vl",
        **_QWEN_IDS,
        "text_config": {
            **_text(2048, 11008, 36, 16, 2, 151936),
            "max_position_embeddings": 128000,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [16, 24, 24],
                "rope_theta": 1e6,
            },
        },
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "out_hidden_size": 2048,
        },
        "tie_word_embeddings": True,
    },
    _QWEN2_PICTURES,
    3_754_622_976,
)
_QWEN3_2B = _qwen3(
    _text(2048, 6144, 28, 16, 8, 151936),
    {
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "deepstack_visual_indexes": [5, 11, 17],
    },
    True,
    2_127_532_032,
)
_QWEN3_8B = _qwen3(
    _text(4096, 12288, 36, 32, 8, 151936),
    {"depth": 27, "deepstack_visual_indexes": [8, 16, 24]},
    False,
    8_767_123_696,
)
_DEEPSEEK = Shape(
    {
        "model_type": "deepseek_vl",
        "text_config": {
            "model_type": "llama",
            **_text(2048, 5632, 24, 16, 16, 102400),
            "max_position_embeddings": 16384,
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 16,
            "vision_use_head": False,
        },
    },
    {
        "image_processor_type": "DeepseekVLImageProcessor",
        "size": {"height": 384, "width": 384},
        "min_size": 14,
    },
    1_752_925_184,
    {"num_image_tokens": 576},
)
_LLAMA = Shape(
    {"model_type": "mllama", "vision_config": {"image_size": 560}},
    {
        "image_processor_type": "MllamaImageProcessor",
        "size": {"height": 560, "width": 560},
        "max_image_tiles": 4,
    },
    10_670_220_835,
)

PUBLISHED: dict[str, Shape] = {
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": _smolvlm(
        _text(960, 2560, 32, 15, 5, 49280),
        {"hidden_size": 768, "image_size": 512, "num_attention_heads": 12, "patch_size": 16},
        4,
        2048,
        507_482_304,
    ),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": _smolvlm(
        _text(2048, 8192, 24, 32, 32, 49280),
        {"intermediate_size": 4304, "image_size": 384, "num_hidden_layers": 27, "patch_size": 14},
        3,
        1920,
        2_246_784_880,
    ),
    "OpenGVLab/InternVL3-1B-hf": _internvl(_text(896, 4864, 24, 14, 2, 151674), 938_193_024),
    "OpenGVLab/InternVL3-2B-hf": _internvl(_text(1536, 8960, 28, 12, 2, 151674), 2_088_957_440),
    "Qwen/Qwen2-VL-2B-Instruct": _qwen2(_text(1536, 8960, 28, 12, 2, 151936), True, 2_208_985_600),
    "Qwen/Qwen2-VL-7B-Instruct": _qwen2(
        _text(3584, 18944, 28, 28, 4, 152064), False, 8_291_375_616
    ),
    "Qwen/Qwen2.5-VL-3B-Instruct": _QWEN2_5,
    "Qwen/Qwen3-VL-2B-Instruct": _QWEN3_2B,
    "Qwen/Qwen3-VL-8B-Instruct": _QWEN3_8B,
    "Qwen/Qwen3-VL-Embedding-2B": _QWEN3_2B,
    "Qwen/Qwen3-VL-Embedding-8B": _QWEN3_8B,
    "deepseek-community/deepseek-vl-1.3b-chat": _DEEPSEEK,
    "meta-llama/Llama-3.2-11B-Vision-Instruct": _LLAMA,
}
"""By hub id. The embedding checkpoints of Qwen3-VL have the sizes of those they come from."""

MINILM = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}
"""The body of `compact`."""
