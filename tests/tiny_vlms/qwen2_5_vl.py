"""Qwen2.5-VL: as Qwen2-VL, but most vision layers attend within windows of 2 x 2 tokens."""

from pathlib import Path

from tests.tiny_vlms import qwen2_vl
from tests.tiny_vlms.writing import SPREAD, pixels, write_json, write_model


def write(folder: Path, seed: int, tied: bool) -> None:
    """Writes the checkpoint."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = qwen2_vl.write_text_files(folder)
    write_json(
        folder,
        "preprocessor_config.json",
        pixels(
            "Qwen2VLImageProcessor",
            processor_class="Qwen2_5_VLProcessor",
            min_pixels=qwen2_vl.FEWEST,
            max_pixels=qwen2_vl.MOST,
            **qwen2_vl.PIXELS,
        ),
    )
    config = Qwen2_5_VLConfig(
        text_config=qwen2_vl.text_config(ids),
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "out_hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 16,
            "fullatt_block_indexes": [1],
            "initializer_range": SPREAD,
        },
        tie_word_embeddings=tied,
        **qwen2_vl.special_ids(ids),
    )
    write_model(folder, lambda: Qwen2_5_VLForConditionalGeneration(config), seed)
