"""Qwen3-VL: vision layers feed the first language layers too, and positions are interleaved."""

from pathlib import Path

from tests.tiny_vlms import qwen2_vl
from tests.tiny_vlms.writing import SPREAD, pixels, write_json, write_model


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    ids = qwen2_vl.write_text_files(folder)
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "Qwen2VLImageProcessorFast",
            processor_class="Qwen3VLProcessor",
            size={"shortest_edge": qwen2_vl.FEWEST, "longest_edge": qwen2_vl.MOST},
            **qwen2_vl.PIXELS,
        ),
    )
    text = qwen2_vl.text_config(ids)
    rope = {
        "rope_type": "default",
        "mrope_interleaved": True,
        "mrope_section": [2, 1, 1],
        "rope_theta": 10000.0,
    }
    config = Qwen3VLConfig(
        text_config={**text, "head_dim": 8, "num_hidden_layers": 3, "rope_parameters": rope},
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "out_hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            # A grid of 6 x 6, stretched to every picture's own.
            "num_position_embeddings": 36,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": SPREAD,
        },
        tie_word_embeddings=tied,
        **qwen2_vl.special_ids(ids),
    )
    write_model(folder, lambda: Qwen3VLForConditionalGeneration(config), seed)
