"""Random checkpoints of a few kilobytes, written as real ones are, to load by the real path."""

import json
from pathlib import Path

import torch

WORDS = "a red blue cup doll toy two words the cowboy spaceman with and for new of as is".split()


def write_tiny_bert(folder: Path, *, seed: int = 0, modules: bool = False) -> Path:
    """Writes a BERT of width 16 with a WordPiece tokenizer; `modules` adds cls pooling + norm."""
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,&%!"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    tokens += [f"##{letter}" for letter in letters] + sorted(set(WORDS) - set(letters))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer(vocab={token: i for i, token in enumerate(tokens)})
    tokenizer.model_max_length = 32
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        # The default spread gives nearly equal vectors for all texts.
        initializer_range=0.5,
    )
    _seeded(lambda: BertModel(config, add_pooling_layer=False), seed).save_pretrained(folder)
    if modules:
        _write_modules(folder)
    return folder


def write_tiny_vit(folder: Path, *, pooler: bool = True) -> Path:
    """Writes a ViT of width 16 for pictures of 32 x 32 pixels."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        initializer_range=0.5,
    )
    _seeded(lambda: ViTModel(config, add_pooling_layer=pooler), 0).save_pretrained(folder)
    _write_processor(folder, "ViTImageProcessor")
    return folder


def write_tiny_clip(folder: Path) -> Path:
    """Writes a dual encoder with image features of width 12."""
    from transformers import CLIPConfig, CLIPModel

    part = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**part, "intermediate_size": 32, "vocab_size": 50},
        vision_config={**part, "intermediate_size": 32, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    _seeded(lambda: CLIPModel(config), 0).save_pretrained(folder)
    _write_processor(folder, "CLIPImageProcessor")
    return folder


def _write_processor(folder: Path, kind: str) -> None:
    half = [0.5, 0.5, 0.5]
    recipe = {
        "image_processor_type": kind,
        "do_resize": True,
        "do_center_crop": False,
        "size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": half,
        "image_std": half,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))


def _write_modules(folder: Path) -> None:
    names = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(names.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def _seeded(build, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
