"""Causal transformer over item vectors (SASRec's user side)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.dropout import Dropout

Norm = Literal["post", "pre"]


class CausalTransformer(nn.Module):
    """Self-attention blocks in which position t sees positions up to t only.

    Sequences are padded on the right, so causality alone keeps padding out of every state that
    counts; positions are counted from the first item of the window.

    Args:
        dim: Width D.
        n_layers: Number of blocks.
        n_heads: Attention heads; must divide `dim`.
        max_len: Longest sequence T.
        dropout: On the input, on attention weights and on the output of each sub-layer.
        hidden: Width of the feed-forward layers.
        norm: Layer norm behind each residual sum ("post") or before each sub-layer ("pre").
    """

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
            _Block(dim, n_heads, dropout, hidden, norm) for _ in range(n_layers)
        )

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Returns the state after each item.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right.
            mask: ``[B, T] bool`` true where there is an item; states elsewhere are arbitrary.

        Returns:
            ``[B, T, D]``; the state at t depends on positions 0..t only.
        """
        del mask  # right padding lies in every real position's future
        length = vectors.shape[1]
        states = self.dropout(self.input_norm(vectors + self.positions[:length]))
        future = torch.full((length, length), float("-inf"), device=states.device).triu_(1)
        for block in self.blocks:
            states = block(states, future.to(states.dtype))
        return self.output_norm(states)


class _Block(nn.Module):
    def __init__(self, dim: int, n_heads: int, dropout: float, hidden: int, norm: Norm) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.attention = _CausalAttention(dim, n_heads, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden)
        self.contract = nn.Linear(hidden, dim)
        self.forward_norm = nn.LayerNorm(dim)
        self.attention_dropout = Dropout(dropout)
        self.forward_dropout = Dropout(dropout)

    def forward(self, states: Tensor, future: Tensor) -> Tensor:
        if self.pre:
            states = states + self._attend(self.attention_norm(states), future)
            return states + self._feed(self.forward_norm(states))
        states = self.attention_norm(states + self._attend(states, future))
        return self.forward_norm(states + self._feed(states))

    def _attend(self, states: Tensor, future: Tensor) -> Tensor:
        return self.attention_dropout(self.attention(states, future))

    def _feed(self, states: Tensor) -> Tensor:
        return self.forward_dropout(self.contract(F.gelu(self.expand(states))))


class _CausalAttention(nn.Module):
    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor, future: Tensor) -> Tensor:
        B, T, D = states.shape
        heads = self.project(states).view(B, T, 3, self.n_heads, D // self.n_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each [B, H, T, D/H]
        if self.training and self.dropout.p > 0:
            mixed = self._with_dropout(query, key, value, future)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed.transpose(1, 2).reshape(B, T, D))

    def _with_dropout(self, query: Tensor, key: Tensor, value: Tensor, future: Tensor) -> Tensor:
        # The fused kernel draws its mask from torch's global generator; ours comes from a stream.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + future  # [B, H, T, T]
        return self.dropout(scores.softmax(dim=-1)) @ value
