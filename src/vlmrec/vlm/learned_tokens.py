"""Special tokens that a checkpoint does not have: one learned vector each, beside its table."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vlmrec.core.random import Streams


class LearnedTokens(nn.Module):
    """Vectors of tokens such as ``[Cur_Item]`` (Molar, Section 3.2).

    Their ids follow the last row of the word embeddings, which stay as they are: a frozen or
    tied table need not be resized, and a saved model holds a few rows instead of a vocabulary.

    Args:
        width: Dimensions D.
        first_id: Rows of the word embeddings.
    """

    def __init__(self, width: int, first_id: int) -> None:
        super().__init__()
        self.first_id = first_id
        self.names: list[str] = []
        self.table = nn.Parameter(torch.zeros(0, width))

    def add(self, names: Sequence[str], words: Tensor, streams: Streams) -> None:
        """Adds tokens that are not there yet; each starts near the mean word.

        Args:
            names: Such as "[Cur_Item]".
            words: ``[V, D]`` the word embeddings, for their mean and spread.
            streams: Where random numbers come from.
        """
        new = [name for name in dict.fromkeys(names) if name not in self.names]
        if not new:
            return
        centre, spread = words.detach().float().mean(dim=0), float(words.detach().float().std())
        rows = [
            centre + 0.1 * spread * torch.randn(len(centre), generator=streams.torch("token", name))
            for name in new
        ]
        fresh = torch.stack(rows).to(self.table.device)  # float32: bfloat16 would lose small steps
        rows = torch.cat([self.table.detach(), fresh])
        self.table = nn.Parameter(rows, requires_grad=self.table.requires_grad)
        self.names += new

    def id_of(self, name: str) -> int | None:
        """Returns the token id of a learned token, or None."""
        return self.first_id + self.names.index(name) if name in self.names else None

    def embed(self, ids: Tensor, words: nn.Embedding) -> Tensor:
        """Returns ``[B, T, D]`` for ``[B, T]`` ids of words and learned tokens."""
        known = words(ids.clamp_max(self.first_id - 1))
        if not self.names:
            return known
        learned = self.table[(ids - self.first_id).clamp_min(0)].to(known.dtype)  # [B, T, D]
        return torch.where((ids >= self.first_id).unsqueeze(-1), learned, known)
