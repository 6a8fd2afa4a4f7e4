"""Frozen text encoder: any encoder or decoder body of transformers, pooled over its tokens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vlmrec.core.errors import ConfigError
from vlmrec.core.tensors import require_finite
from vlmrec.vlm.batching import buckets
from vlmrec.vlm.checkpoints import (
    CheckpointSource,
    FrozenBody,
    load_frozen,
    tokenizer_sha256,
)
from vlmrec.vlm.pooling import TextRecipe, pool, read_recipe

_TOKENIZER_CHUNK = 4096
_LONGEST = 8192  # tokenizers without a limit of their own announce 1e30


class FrozenTextEncoder:
    """Turns texts into vectors; satisfies `vlmrec.core.protocols.TextEncoder`.

    Texts of similar length share a batch, so little is spent on padding; a text gets the same
    vector alone and in any batch (to 1e-5).

    Args:
        tokenizer: A transformers tokenizer.
        body: A transformers body whose output has ``last_hidden_state``.
        recipe: Pooling, normalisation and maximum length.
        device: Where to compute.
        tokens_per_batch: Upper bound of texts times longest text in a batch.
    """

    def __init__(
        self,
        tokenizer: Any,
        body: FrozenBody,
        recipe: TextRecipe,
        *,
        device: torch.device | None = None,
        tokens_per_batch: int = 2048,
    ) -> None:
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._tokens_per_batch = tokens_per_batch
        self._device = torch.device("cpu") if device is None else device
        self._max_length = _max_length(tokenizer, body.module, recipe)
        config: Any = body.module.config
        self._width = int(config.hidden_size)
        self._identity = json.dumps(self._description(body), sort_keys=True)
        self._model = body.module.to(self._device)

    @property
    def identity(self) -> str:
        """JSON of everything that the vectors depend on; weights and tokenizer as hashes."""
        return self._identity

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return self._width

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns ``[n, D] float32`` on the CPU; the order of the texts is kept.

        Raises:
            FloatingPointError: The model produced NaN or infinity.
        """
        vectors = torch.zeros(len(texts), self._width)
        for start in range(0, len(texts), _TOKENIZER_CHUNK):
            tokens = self._tokenize(texts[start : start + _TOKENIZER_CHUNK])
            for rows in buckets([len(ids) for ids in tokens], self._tokens_per_batch):
                batch = self._encode([tokens[row] for row in rows])
                vectors[torch.tensor(rows) + start] = batch
        require_finite(vectors, "Text vectors")
        return vectors

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._tokenizer(
            list(texts), truncation=True, max_length=self._max_length, return_attention_mask=False
        )
        # A tokenizer without special tokens makes nothing of an empty text.
        return [ids or [self._padding] for ids in encoded["input_ids"]]

    def _encode(self, tokens: list[list[int]]) -> Tensor:
        length = max(len(ids) for ids in tokens)
        ids = torch.full((len(tokens), length), self._padding)
        mask = torch.zeros((len(tokens), length), dtype=torch.bool)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = True
        ids, mask = ids.to(self._device), mask.to(self._device)
        states = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return pool(states, mask, self._recipe).float().cpu()

    @property
    def _padding(self) -> int:
        return self._tokenizer.pad_token_id or 0

    def _description(self, body: FrozenBody) -> dict[str, str | int | bool]:
        return {
            "modality": "text",
            "architecture": type(body.module).__name__,
            "weights_sha256": body.weights_sha256,
            "tokenizer_sha256": tokenizer_sha256(self._tokenizer),
            "pooling": self._recipe.pooling,
            "normalize": self._recipe.normalize,
            "max_length": self._max_length,
            "dtype": "float32",
        }


def load_frozen_text_encoder(
    source: CheckpointSource, *, device: torch.device | None = None
) -> FrozenTextEncoder:
    """Returns the text encoder of a checkpoint.

    Raises:
        ArtifactError: The checkpoint cannot be had, is incomplete, or has no usable tokenizer.
        ConfigError: It is of a kind that gives no text vectors.
    """
    from transformers import AutoConfig, AutoTokenizer

    with source.explained():
        config = AutoConfig.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "hidden_size"):
        raise ConfigError(
            f"The checkpoint '{source.location}' is of type '{config.model_type}', which gives no "
            "text vectors here.",
            "Use a text encoder such as BERT or a sentence-transformers model.",
        )
    with source.explained():
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision, trust_remote_code=False
        )
    body = load_frozen(source, unused=("pooler.",))
    return FrozenTextEncoder(tokenizer, body, read_recipe(_folder(source)), device=device)


def _folder(source: CheckpointSource) -> Path | None:
    """Returns where the small JSON files of a checkpoint lie, fetching those of the hub."""
    if source.is_folder:
        return Path(source.location)
    from huggingface_hub import snapshot_download

    with source.explained():
        patterns = ["modules.json", "sentence_bert_config.json", "*/config.json"]
        return Path(
            snapshot_download(source.location, revision=source.revision, allow_patterns=patterns)
        )


def _max_length(tokenizer: Any, model: nn.Module, recipe: TextRecipe) -> int:
    config: Any = model.config
    limits = (
        recipe.max_length,
        tokenizer.model_max_length,
        getattr(config, "max_position_embeddings", None),
        _LONGEST,
    )
    return int(min(limit for limit in limits if limit is not None))
