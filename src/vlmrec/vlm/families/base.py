"""What a family of vision-language models contributes, and what most of them share.

A new family is one subclass in one file and one line in `vlmrec.vlm.families.known`. It says
how a picture is laid out in tokens, how the vision tower is called, and which positions tokens
get. Prompts, truncation, batching, caching, tuning and pooling are the same for all.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.core.dropout import Dropout, stream_of
from vlmrec.core.errors import ConfigError
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.visual_features import VisualFeatures


@dataclass(frozen=True, eq=False)
class Pixels:
    """One picture as the vision tower takes it.

    Attributes:
        shape: Small integers that decide its layout in a prompt (grid, tiles); may be empty.
        tensors: What the image processor made of it, by the names the tower knows.
    """

    shape: tuple[int, ...]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class PictureTokens:
    """The run of tokens that stands for one picture.

    Attributes:
        ids: Token ids.
        filled: Whether the place takes a row of visual features (or is a frame around them).
    """

    ids: tuple[int, ...]
    filled: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts in one forward pass.

    Attributes:
        ids: ``[B, T] int64``.
        mask: ``[B, T] bool``, true on real tokens.
        filled: ``[B, T] bool``, true where a row of visual features goes.
        prefix: ``[B, T] bool``, true on the prompt, false on the answer and on padding.
        textual: ``[B, T] bool``, true where a token belongs neither to a picture nor its frame.
        features: Of all pictures, in reading order over the rows.
        pictures: How many of `features` belong to each row.
    """

    ids: Tensor
    mask: Tensor
    filled: Tensor
    prefix: Tensor
    textual: Tensor
    features: Sequence[VisualFeatures]
    pictures: Sequence[int]


class Family(ABC):
    """One architecture with its weights, tokenizer and image processor.

    Args:
        network: The model with its language head.
        tokenizer: A transformers tokenizer.
        image_processor: A transformers image processor, or None where a family needs none.
        settings: The content of ``processor_config.json``.
    """

    name: ClassVar[str]
    budgets: ClassVar[frozenset[str]] = frozenset()
    """Which of min_pixels, max_pixels, max_tiles and visual_tokens the family understands."""
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
    """Linear layers of the language body that get LoRA unless told otherwise."""
    default_pooling: ClassVar[str] = "last"
    image_token: ClassVar[str] = ""
    """The token whose places take visual features, where it is fixed."""

    def __init__(
        self, network: nn.Module, tokenizer: Any, image_processor: Any, settings: dict[str, Any]
    ) -> None:
        self.network: Any = network
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.settings = settings
        self.budget: dict[str, Any] = {}
        self._runs: dict[tuple[int, ...], PictureTokens] = {}

    can_generate = True
    """Whether the checkpoint has its language head."""
    takes_any_mask: ClassVar[bool] = False
    """Whether `body_under` is there."""

    @property
    def config(self) -> Any:
        """The checkpoint's configuration."""
        return self.network.config

    @property
    def width(self) -> int:
        """Number of dimensions D of a token's state."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def max_positions(self) -> int:
        """Longest prompt that the language body can read, in tokens."""
        return int(self.config.get_text_config().max_position_embeddings)

    @property
    def usual_tokens(self) -> int:
        """Longest prompt unless the options say otherwise."""
        return self.max_positions

    @property
    def language(self) -> nn.Module:
        """The transformer body that reads words; LoRA goes here."""
        return self.network.model.language_model

    @property
    @abstractmethod
    def vision(self) -> Sequence[nn.Module]:
        """The modules between pixels and visual features: frozen unless asked otherwise."""

    @property
    def connectors(self) -> Sequence[nn.Module]:
        """Modules between visual features and the body; they learn unless all is frozen."""
        return []

    @property
    def image_token_id(self) -> int:
        """The id that config.json gives to `image_token`."""
        return int(self.config.image_token_id)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The table of token embeddings ``[V, D]``."""
        return self.network.get_input_embeddings()

    @property
    def pad(self) -> int:
        """Id of the padding token; any will do, because padding is masked."""
        return int(self.tokenizer.pad_token_id or 0)

    @classmethod
    def budget_options(cls, options: VlmOptions, processor: Any) -> dict[str, Any]:
        """Returns what the image processor is told about the picture budget."""
        del options, processor
        return {}

    def process(self, image: Image.Image, **settings: bool) -> Any:
        """Returns what the image processor makes of one picture within its budget."""
        return self.image_processor(images=[image], return_tensors="pt", **self.budget, **settings)

    def enable_checkpointing(self) -> None:
        """Makes the language body recompute its activations in the backward pass."""
        self._checkpoint(self.network)

    def _checkpoint(self, transformer: Any) -> None:
        """Turns checkpointing on, with dropout that draws the same masks again."""
        settings: dict[str, Any] = {"use_reentrant": False}
        if any(isinstance(one, Dropout) for one in transformer.modules()):
            # No lambda: a copy of the model must find its own stream.
            settings["context_fn"] = partial(_replayed, transformer)
        transformer.activation_checkpointing_enable(settings)

    def token_id(self, name: str) -> int | None:
        """Returns the id of one of the tokenizer's own special tokens, or None."""
        added: dict[str, int] = self.tokenizer.get_added_vocab()
        if name in self.tokenizer.all_special_tokens:
            return int(self.tokenizer.convert_tokens_to_ids(name))
        return added.get(name)

    def special_names(self) -> list[str]:
        """Returns the names of the tokenizer's special tokens."""
        return list(self.tokenizer.all_special_tokens)

    def describe_pictures(self) -> dict[str, Any]:
        """Returns what the image processor does, for cache keys and manifests."""
        found = json.loads(self.image_processor.to_json_string())
        return {
            "picture_processor": found,
            "processor_settings": self.settings,
            "picture_budget": self.budget,
        }

    @abstractmethod
    def prepare(self, image: Image.Image) -> Pixels:
        """Returns what the tower takes in for one upright RGB picture."""

    @abstractmethod
    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns the tokens of a picture whose pixels have this shape."""

    def run_of(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns `picture_tokens`, worked out once a shape: pictures share few of them."""
        if shape not in self._runs:
            self._runs[shape] = self.picture_tokens(shape)
        return self._runs[shape]

    def feature_rows(self, shape: tuple[int, ...]) -> int:
        """Returns how many rows of visual features a picture of this shape must have."""
        return sum(self.run_of(shape).filled)

    @abstractmethod
    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the visual features ``[n_i, W]`` of each picture."""

    def states(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the last hidden states ``[B, T, D]``.

        Args:
            embeddings: ``[B, T, D]`` of words and special tokens.
            batch: Masks and pictures.
        """
        filled = self.fill(embeddings, batch)
        return self.run(filled, batch.mask, self.positions(batch))

    def fill(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the embeddings with visual features at their places."""
        if not batch.features:
            return embeddings
        rows = torch.cat([one.values for one in batch.features])
        rows = rows.to(embeddings.device, embeddings.dtype)  # [n, W]
        return embeddings.masked_scatter(batch.filled.unsqueeze(-1), rows[:, : self.width])

    def positions(self, batch: PromptBatch) -> Tensor:
        """Returns the position of every token; padding does not count."""
        return positions_of(batch.mask)

    def run(self, embeddings: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Returns the states ``[B, T, D]`` of the causal language body."""
        language: Any = self.language
        return language(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            position_ids=positions,
            use_cache=False,
        ).last_hidden_state

    def body(self, inputs: Tensor, mask: Tensor, *, causal: bool = True) -> Tensor:
        """Returns the states of a sequence of vectors; see `VisionLanguageModel.body`."""
        if not causal:
            raise ConfigError(
                f"The language body of '{self.name}' only looks back.", "Use causal=True."
            )
        return self.run(inputs, mask, positions_of(mask))

    def body_under(self, inputs: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        """Returns the states ``[B, T, D]`` of vectors under any mask.

        Args:
            inputs: ``[B, T, D]``.
            positions: ``[B, T] int64``.
            allowed: ``[B, T, T] bool``; row q says what place q sees, at least something.
        """
        raise NotImplementedError(f"The body of '{self.name}' takes no mask of its caller's.")

    def logits(self, states: Tensor) -> Tensor:
        """Returns ``[..., V]`` scores of the next token."""
        return self.network.lm_head(states)


def _replayed(module: nn.Module) -> tuple[AbstractContextManager[None], ...]:
    """Returns contexts for a forward pass and its re-run; see `DropoutStream.replayable`."""
    stream = stream_of(module)
    return (nullcontext(), nullcontext()) if stream is None else stream.replayable()


def positions_of(mask: Tensor) -> Tensor:
    """Returns ``[B, T] int64`` counted from the first real token, whatever the padding side."""
    return (mask.long().cumsum(dim=1) - 1).clamp_min(0)
