"""The network of `compact` and `tiny`: a BERT body, a small vision tower, a projector, a head."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.config import StrictConfig

MODEL_TYPE = "vlmrec_compact"
TowerName = Literal["efficientnet-lite0", "tiny", "toy"]
VisualTokens = Literal[1, 4, 9, 16, 49]


class CompactConfig(StrictConfig):
    """The content of ``config.json``."""

    model_type: Literal["vlmrec_compact"] = MODEL_TYPE
    """Marks the folder."""
    text: dict[str, Any]
    """Options of the BERT body."""
    tower: TowerName
    """Which vision tower."""
    visual_tokens: VisualTokens = 4
    """Tokens a picture becomes: the tower's grid is averaged into this many squares."""
    picture_side: int = Field(default=32, ge=8)
    """Edge length of pictures for the tower "toy", in pixels; the others are made for one."""


class TinyTower(nn.Module):
    """Three convolutions for 56 x 56 pixels -> ``[B, 32, 7, 7]``."""

    width = 32
    side = 56

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, self.width, 3, stride=2, padding=1),
        )

    def extract_features(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, 32, 7, 7]`` for ``[B, 3, 56, 56]``."""
        return self.layers(pixels)


class ToyTower(nn.Module):
    """Three convolutions, the last as wide as the picture -> ``[B, 64, 1, 1]``.

    It learns the pictures of a small catalogue within hundreds of steps, because each place of
    a picture has weights of its own; a shape that never was at a place is not known there.

    Args:
        side: Edge length of the pictures.
    """

    width = 64

    def __init__(self, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, self.width, -(-side // 4)),
        )

    def extract_features(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, 64, 1, 1]`` for ``[B, 3, side, side]``."""
        return self.layers(pixels)


class Projector(nn.Module):
    """Rows of a feature grid -> vectors as long as word embeddings are.

    Args:
        tower_width: Channels C of the grid.
        width: Dimensions D of the body.
    """

    def __init__(self, tower_width: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(tower_width, elementwise_affine=False),
            nn.Linear(tower_width, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )

    def match(self, words: Tensor) -> None:
        """Gives the output the spread of word embeddings ``[V, D]``."""
        with torch.no_grad():
            last = self.layers[-1]
            assert isinstance(last, nn.LayerNorm)  # noqa: S101 - built above
            last.weight.fill_(float(words.std()))
            last.bias.copy_(words.mean(dim=0))

    def forward(self, rows: Tensor) -> Tensor:
        """Returns ``[n, D]`` for ``[n, C]``."""
        return self.layers(rows)


class CompactNetwork(nn.Module):
    """Body, tower, projector and a head whose last layer is the word embeddings.

    Args:
        config: Sizes.
        body: A BertModel without pooler, without dropout.
        tower: A module with ``extract_features(pixels) -> [B, C, h, w]``.
        tower_width: Channels C of its grid.
    """

    def __init__(
        self, config: CompactConfig, body: nn.Module, tower: nn.Module, tower_width: int
    ) -> None:
        super().__init__()
        self.config = config
        self.body: Any = body
        self.tower: Any = tower
        self.projector = Projector(tower_width, int(self.body.config.hidden_size))
        width = int(self.body.config.hidden_size)
        self.head = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(int(self.body.config.vocab_size)))

    def start(self) -> None:
        """Sets the untrained parts: the head passes states on, visual tokens look like words."""
        with torch.no_grad():
            nn.init.eye_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.projector.match(self.words.weight)

    @property
    def words(self) -> nn.Embedding:
        """The word embeddings."""
        return self.body.embeddings.word_embeddings

    def see(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, n, C]`` for ``[B, 3, H, W]``, n squares of the tower's grid."""
        grid = self.tower.extract_features(pixels)  # [B, C, h, w]
        side = round(self.config.visual_tokens**0.5)
        return F.adaptive_avg_pool2d(grid, side).flatten(2).transpose(1, 2)

    def states(self, embeddings: Tensor, positions: Tensor, allowed: Tensor) -> Tensor:
        """Returns ``[B, T, D]``.

        Args:
            embeddings: ``[B, T, D]``.
            positions: ``[B, T] int64``.
            allowed: ``[B, T] bool`` real tokens, all of which see each other, or ``[B, T, T]
                bool`` where row q says what q sees; every q must see something.
        """
        mask = allowed.long()
        if allowed.dim() == 3:
            # Eager attention adds a mask to the scores, whatever its type: true would be +1.
            never = torch.finfo(embeddings.dtype).min
            mask = torch.zeros_like(allowed, dtype=embeddings.dtype)
            mask = mask.masked_fill(~allowed, never).unsqueeze(1)
        return self.body(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """Returns ``[..., V]``."""
        return F.linear(self.head(states), self.words.weight, self.bias)
