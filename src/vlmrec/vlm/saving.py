"""A vision-language model as a checkpoint folder, LoRA merged in."""

import json
from pathlib import Path
from typing import Any

import torch

from vlmrec.core.files import atomic_folder, write_json
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.vlm.compact_loading import CONFIG_FILE, WEIGHTS_FILE
from vlmrec.vlm.compact_network import CompactNetwork
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.tuning import merged_state

LEARNED_FILE = "learned_tokens.safetensors"


def save_vlm(model: VisionLanguageModel, folder: Path, *, overwrite: bool = False) -> None:
    """Writes a folder that `vlmrec.vlm.loading.load_vlm` reads; the model stays as it is.

    Families of transformers are written in its own layout, so that other software reads them;
    learned tokens stand in a file of their own beside it.

    Args:
        model: Any model; LoRA is added into the weights that are written.
        folder: Where to write, all or nothing.
        overwrite: Replace a folder that is there.

    Raises:
        DataError: The folder is taken, read-only, or the disk is full.
    """
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        write_vlm(model, temporary)


def write_vlm(model: VisionLanguageModel, folder: Path) -> None:
    """Writes the files of `save_vlm` into a folder that exists."""
    family = model.family
    network: Any = family.network
    state = merged_state(network)
    if isinstance(network, CompactNetwork):
        save_tensors(folder / WEIGHTS_FILE, state)
        write_json(folder / CONFIG_FILE, network.config.model_dump())
    else:
        network.save_pretrained(folder, state_dict=state)
        family.image_processor.save_pretrained(folder)
        if family.settings:
            write_json(folder / "processor_config.json", family.settings)
    family.tokenizer.save_pretrained(folder)
    if model.learned.names:
        rows = zip(model.learned.names, model.learned.table, strict=True)
        save_tensors(folder / LEARNED_FILE, {json.dumps(name): row for name, row in rows})


def load_learned_tokens(model: VisionLanguageModel, folder: Path) -> None:
    """Puts the learned tokens of a folder into a model, where it holds any."""
    if not (folder / LEARNED_FILE).is_file():
        return
    found = {json.loads(key): row for key, row in load_tensors(folder / LEARNED_FILE).items()}
    model.add_special_tokens(list(found))
    with torch.no_grad():
        for number, name in enumerate(model.learned.names):
            model.learned.table[number] = found[name].to(model.learned.table)
