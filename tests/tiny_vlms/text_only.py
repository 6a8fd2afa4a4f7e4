"""Qwen2 without eyes: a checkpoint that no vision-language model can be loaded from."""

from pathlib import Path

from tests.tiny_vlms import qwen2_vl
from tests.tiny_vlms.writing import write_model


def write(folder: Path, seed: int) -> None:
    """Writes the checkpoint."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    ids = qwen2_vl.write_text_files(folder)
    (folder / "chat_template.jinja").unlink()
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    config = Qwen2Config(**{**qwen2_vl.text_config(ids), "rope_parameters": rope})
    write_model(folder, lambda: Qwen2ForCausalLM(config), seed)
