"""The one scorer that loss, evaluation, index and service share.

A score is always the inner product of a query (made from a user state) and a key (made from an
item vector). Cosine and temperature go into the making of queries and keys, so that whoever
holds both needs nothing but a matrix product.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError


class ScoringConfig(StrictConfig):
    """How a user state and an item vector become a score."""

    kind: Literal["dot", "cosine"] = "dot"
    """Inner product, or inner product of the two at length 1."""
    temperature: float = 1.0
    """Scores are divided by it; with cosine, .05 to .2 is usual."""
    learnable: bool = False
    """Learn the temperature (as 1 / temperature, at most 100), starting from the value given."""


class Scorer(nn.Module):
    """Makes queries and keys whose inner product is the score.

    Args:
        config: See `ScoringConfig`.

    Raises:
        ConfigError: The temperature is not positive.
    """

    def __init__(self, config: ScoringConfig) -> None:
        super().__init__()
        if config.temperature <= 0:
            raise ConfigError(
                f"Option 'scoring.temperature' was given {config.temperature}; "
                "expected a positive number."
            )
        self.kind = config.kind
        log_scale = torch.tensor(-math.log(config.temperature))
        if config.learnable:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)
        self.plain = config.kind == "dot" and config.temperature == 1 and not config.learnable

    def queries(self, states: Tensor) -> Tensor:
        """Returns ``[..., D]`` queries from user states ``[..., D]``."""
        if self.plain:
            return states
        if self.kind == "cosine":
            states = F.normalize(states, dim=-1)
        return states * self.log_scale.exp().clamp(max=100.0)

    def keys(self, vectors: Tensor) -> Tensor:
        """Returns ``[..., D]`` keys from item vectors ``[..., D]``."""
        return F.normalize(vectors, dim=-1) if self.kind == "cosine" else vectors
