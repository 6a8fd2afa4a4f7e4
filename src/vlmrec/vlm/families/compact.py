"""`compact`: a small vision-language model for CPUs from pretrained parts; `tiny`: a toy of it."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.compact_network import CompactNetwork, TinyTower
from vlmrec.vlm.efficientnet import SIDE, prepare_pixels
from vlmrec.vlm.families.base import (
    Family,
    PictureTokens,
    Pixels,
    PromptBatch,
    positions_of,
)

_MINILM_TOKENS = 256


class Compact(Family):
    """MiniLM reads, EfficientNet-Lite0 sees; prompts look both ways, answers only back.

    The prefix-LM mask (Dong et al., UniLM, 2019) lets the same weights embed well and learn to
    generate. A picture is 1, 4, 9, 16 or 49 places without a frame.
    """

    name = "compact"
    budgets = frozenset({"visual_tokens"})
    lora_targets = ("query", "key", "value", "dense")
    default_pooling = "mean"
    takes_any_mask = True
    network: CompactNetwork

    @property
    def width(self) -> int:
        """Number of dimensions D of a token's state."""
        return int(self.network.body.config.hidden_size)

    @property
    def max_positions(self) -> int:
        """Longest prompt, in tokens."""
        return int(self.network.body.config.max_position_embeddings)

    @property
    def usual_tokens(self) -> int:
        """As MiniLM's own sentence embeddings, which read no further."""
        return min(_MINILM_TOKENS, self.max_positions)

    @property
    def language(self) -> nn.Module:
        """The BERT body."""
        return self.network.body

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower, without the projector, which always learns."""
        return [self.network.tower]

    @property
    def connectors(self) -> Sequence[nn.Module]:
        """The projector."""
        return [self.network.projector]

    def enable_checkpointing(self) -> None:
        """Makes the body recompute its activations in the backward pass."""
        self._checkpoint(self.network.body)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The table of token embeddings ``[V, D]``."""
        return self.network.words

    def describe_pictures(self) -> dict[str, Any]:
        """Returns what is done to pictures, for cache keys and manifests."""
        config = self.network.config
        return {"resolution": self._side, "visual_tokens": config.visual_tokens}

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns the picture squashed to the tower's square."""
        return Pixels((), {"pixels": prepare_pixels(image, self._side)})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns as many places as the picture has tokens."""
        places = self.network.config.visual_tokens
        return PictureTokens((self.pad,) * places, (True,) * places)

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns ``[n, C]`` averaged squares of the tower's grid, before the projector."""
        device = self.network.bias.device
        pixels = torch.stack([one.tensors["pixels"] for one in pictures]).to(device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return list(self.network.see(pixels))

    def fill(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the embeddings with projected visual features at their places."""
        if not batch.features:
            return embeddings
        rows = torch.cat([one.values for one in batch.features])
        projected = self.network.projector(rows.to(embeddings.device, embeddings.dtype))
        return embeddings.masked_scatter(batch.filled.unsqueeze(-1), projected.to(embeddings.dtype))

    def states(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """Returns the last hidden states ``[B, T, D]`` under the prefix-LM mask."""
        filled = self.fill(embeddings, batch)
        positions = positions_of(batch.mask)
        if bool((batch.prefix == batch.mask).all()):
            return self.network.states(filled, positions, batch.mask)
        return self.network.states(filled, positions, _prefix_mask(batch.mask, batch.prefix))

    def body(self, inputs: Tensor, mask: Tensor, *, causal: bool = True) -> Tensor:
        """Returns the states of a sequence of vectors; see `VisionLanguageModel.body`."""
        allowed = _prefix_mask(mask, torch.zeros_like(mask)) if causal else mask
        return self.network.states(inputs, positions_of(mask), allowed)

    def body_under(self, inputs: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        """Returns the states of vectors under any mask."""
        return self.network.states(inputs, positions, allowed)

    def logits(self, states: Tensor) -> Tensor:
        """Returns ``[..., V]`` scores of the next token."""
        return self.network.logits(states)

    @property
    def _side(self) -> int:
        config = self.network.config
        sides = {"tiny": TinyTower.side, "toy": config.picture_side}
        return sides.get(config.tower, SIDE)


class Tiny(Compact):
    """The same class at toy size, random: for tests and demonstrations."""

    name = "tiny"

    @property
    def usual_tokens(self) -> int:
        """All of its positions, because its tokens are bytes."""
        return self.max_positions


def _prefix_mask(mask: Tensor, prefix: Tensor) -> Tensor:
    """Returns ``[B, T, T] bool``: the prefix is seen by all, the rest only from later on."""
    T = mask.shape[1]
    back = torch.ones(T, T, dtype=torch.bool, device=mask.device).tril()
    allowed = (prefix.unsqueeze(1) | back) & mask.unsqueeze(1)
    # Padding sees itself, because attention over nothing is NaN.
    return allowed | torch.eye(T, dtype=torch.bool, device=mask.device)
