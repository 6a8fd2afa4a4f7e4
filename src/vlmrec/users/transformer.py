"""Transformers over item vectors: one that sees the past (SASRec), one that sees both sides."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.dropout import Dropout

Norm = Literal["post", "pre"]


class ItemTransformer(nn.Module):
    """Self-attention blocks over item vectors with learned positions.

    Args:
        dim: Width D.
        n_layers: Number of blocks.
        n_heads: Attention heads; must divide `dim`.
        max_len: Longest sequence T.
        dropout: On the input, on attention weights and on the output of each sub-layer.
        hidden: Width of the feed-forward layers.
        norm: Layer norm behind each residual sum ("post") or before each sub-layer ("pre").
    """

    causal: bool

    def __init__(
        self,
        *,
        dim: int,
        n_layers: int,
        n_heads: int,
        max_len: int,
        dropout: float,
        hidden: int,
        norm: Norm = "post",
    ) -> None:
        super().__init__()
        self.max_len = max_len
        self.positions = nn.Parameter(torch.zeros(max_len, dim))
        self.input_norm = nn.LayerNorm(dim) if norm == "post" else nn.Identity()
        self.output_norm = nn.LayerNorm(dim) if norm == "pre" else nn.Identity()
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            _Block(dim, n_heads, dropout, hidden, norm, self.causal) for _ in range(n_layers)
        )

    @abstractmethod
    def places(self, mask: Tensor) -> Tensor:
        """Returns the vectors of the positions, ``[T, D]`` or ``[B, T, D]``."""

    @abstractmethod
    def barred(self, mask: Tensor) -> Tensor:
        """Returns ``[T, T]`` or ``[B, 1, T, T] bool``, true where a row must not see a column."""

    def forward(self, vectors: Tensor, mask: Tensor, at: Tensor | None = None) -> Tensor:
        """Returns the state at each item, or at one of each row.

        One state a row costs less: the last block is computed for it alone, which with two
        blocks is half of the work.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right.
            mask: ``[B, T] bool`` true where there is an item; states elsewhere are arbitrary.
            at: ``[B] int64`` the wanted place of each row, or None for all.

        Returns:
            ``[B, T, D]``, or ``[B, D]`` with `at`.
        """
        states = self.dropout(self.input_norm(vectors + self.places(mask)))
        barred = self.barred(mask)
        bias = torch.zeros_like(barred, dtype=states.dtype).masked_fill_(barred, float("-inf"))
        for block in self.blocks[:-1]:
            states = block(states, bias)
        states = self.blocks[-1](states, bias, at)
        return self.output_norm(states if at is None else states[:, 0])


class CausalTransformer(ItemTransformer):
    """The state at position t depends on positions 0..t only.

    Sequences are padded on the right, so causality alone keeps padding out of every state that
    counts; positions are counted from the first item of the window.
    """

    causal = True

    def places(self, mask: Tensor) -> Tensor:
        """Returns ``[T, D]``."""
        return self.positions[: mask.shape[1]]

    def barred(self, mask: Tensor) -> Tensor:
        """Returns ``[T, T]``: the future, in which right padding lies as well."""
        length = mask.shape[1]
        return torch.ones(length, length, dtype=torch.bool, device=mask.device).triu_(1)


class BidirectionalTransformer(ItemTransformer):
    """Every state depends on all items of the row, before and behind (BERT4Rec's user side).

    Positions are counted from the row's last item, as if rows were padded on the left: what is
    predicted in the end always stands at the same place.
    """

    causal = False

    def places(self, mask: Tensor) -> Tensor:
        """Returns ``[B, T, D]``."""
        steps = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        behind = mask.sum(dim=1, keepdim=True) - steps  # [B, T], 0 at the last item
        return F.embedding(behind.clamp_min(0), self.positions)

    def barred(self, mask: Tensor) -> Tensor:
        """Returns ``[B, 1, T, T]``: padding, but for itself, lest it had nothing to see."""
        itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
        return ~(mask[:, None, None, :] | itself)


class _Block(nn.Module):
    def __init__(
        self, dim: int, n_heads: int, dropout: float, hidden: int, norm: Norm, causal: bool
    ) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.attention = _Attention(dim, n_heads, dropout, causal)
        self.attention_norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.forward_norm = nn.LayerNorm(dim)
        self.attention_dropout = Dropout(dropout)
        self.forward_dropout = Dropout(dropout)

    def forward(self, states: Tensor, bias: Tensor, at: Tensor | None = None) -> Tensor:
        """Returns ``[B, T, D]``, or ``[B, 1, D]`` at the places ``[B]``."""
        wanted = states if at is None else _picked(states, at)
        if self.pre:
            wanted = wanted + self._attend(self.attention_norm(states), bias, at)
            return wanted + self._feed(self.forward_norm(wanted))
        wanted = self.attention_norm(wanted + self._attend(states, bias, at))
        return self.forward_norm(wanted + self._feed(wanted))

    def _attend(self, states: Tensor, bias: Tensor, at: Tensor | None) -> Tensor:
        return self.attention_dropout(self.attention(states, bias, at))

    def _feed(self, states: Tensor) -> Tensor:
        return self.forward_dropout(self.contract(F.gelu(self.expand(states))))


class _Attention(nn.Module):
    def __init__(self, dim: int, n_heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.causal = causal
        self.project = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, bias: Tensor, at: Tensor | None = None) -> Tensor:
        B, T, D = states.shape
        if at is None:
            query, key, value = self._heads(self.project(states))
            mixed = self._mixed(query, key, value, bias)
            return self.output(mixed.transpose(1, 2).reshape(B, T, D))
        # The row of each wanted place: [B, 1, T].
        if bias.dim() == 2:
            row = bias[at].view(B, 1, T)
        else:
            row = bias.gather(2, at.view(B, 1, 1, 1).expand(-1, -1, -1, T))[:, :, 0]
        return self.output(self._at_one(states, _picked(states, at)[:, 0], row))[:, None]

    def _at_one(self, states: Tensor, wanted: Tensor, row: Tensor) -> Tensor:
        """Returns ``[B, D]`` what one place of each row sees.

        The maps of keys and values move from all T states to the one query and to what it has
        collected: q (W x) = (W^T q) x, and the sum of a W x is W of the sum of a x. That spares
        the larger part of the products.

        Args:
            states: ``[B, T, D]``.
            wanted: ``[B, D]`` the state that looks.
            row: ``[B, 1, T]`` added to the scores, -inf where nothing may be seen.
        """
        B, _, D = states.shape
        width = D // self.n_heads
        to_query, to_key, to_value = self.project.weight.view(3, self.n_heads, width, D)
        query_shift, _, value_shift = self.project.bias.view(3, D)  # a key's shift moves no weight
        query = F.linear(wanted, to_query.reshape(D, D), query_shift)
        query = query.view(B, self.n_heads, width) * width**-0.5
        sought = torch.einsum("bhd,hde->bhe", query, to_key)
        weights = self.dropout((sought @ states.transpose(1, 2) + row).softmax(dim=-1))  # [B, H, T]
        found = torch.einsum("bhe,hde->bhd", weights @ states, to_value)
        shift = weights.sum(dim=-1, keepdim=True) * value_shift.view(self.n_heads, width)
        return (found + shift).reshape(B, D)

    def _heads(self, projected: Tensor) -> tuple[Tensor, ...]:
        """Returns three tensors ``[B, H, T, D/H]`` of ``[B, T, 3 D]``."""
        B, T, width = projected.shape  # no -1 below: a process may have no rows
        parts = projected.view(B, T, 3, self.n_heads, width // (3 * self.n_heads))
        return tuple(parts.permute(2, 0, 3, 1, 4))

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        if not (self.training and self.dropout.p > 0):
            seen = None if self.causal else bias
            return F.scaled_dot_product_attention(query, key, value, seen, is_causal=self.causal)
        # The fused kernel draws its mask from torch's global generator; ours comes from a stream.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + bias  # [B, H, T, T]
        return self.dropout(scores.softmax(dim=-1)) @ value


def _picked(states: Tensor, at: Tensor) -> Tensor:
    """Returns ``[B, 1, D]``, of each row ``[T, D]`` its place."""
    return states.gather(1, at.view(-1, 1, 1).expand(-1, -1, states.shape[-1]))
