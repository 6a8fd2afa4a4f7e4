"""Contrast of sequence views: two views of one sequence, or of two with the same target, agree.

References:
    Qiu et al., "Contrastive Learning for Representation Degeneration Problem in Sequential
    Recommendation" (DuoRec), WSDM 2022, arXiv 2110.05730, Equations 9 to 12.
    Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations"
    (SimCLR), ICML 2020: NT-Xent.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.config import StrictConfig

Similarity = Literal["dot", "cosine"]


class SequenceContrast(StrictConfig):
    """DuoRec's contrastive terms over a batch of sequences, their dropout views and twins.

    With H a sequence's state, H' its state under another dropout mask, and H_s that of another
    sequence with the same target (its twin), and l the loss of `nt_xent_rows`:

        us_x    supervised * l(H', H_s)
        us      unsupervised * l(H, H') + supervised * l(H, H_s)
        un      unsupervised * l(H, H')
        su      supervised * l(H, H_s)

    Differs from the paper: similarity is a cosine unless told otherwise, and rows of one batch
    with the same target are no negatives of each other (`mask_same_target=false` makes them such).
    """

    mode: Literal["us_x", "us", "un", "su"] = "us_x"
    """Which views meet; us_x is what the authors' code does unless told otherwise."""
    unsupervised: float = Field(default=0.1, ge=0)
    """Weight of the term between two dropout masks."""
    supervised: float = Field(default=0.1, ge=0)
    """Weight of the term between sequences with one target."""
    temperature: float = Field(default=0.2, gt=0)
    """Similarities are divided by it; the paper has 1, for inner products."""
    similarity: Similarity = "cosine"
    """Cosine, or the paper's inner product, which is so sharp on states of a transformer that
    they may all become alike before they tell items apart."""
    mask_same_target: bool = True
    """Rows with the same target are no negatives of each other."""

    @property
    def needs_dropout_view(self) -> bool:
        """Whether H' takes part."""
        return self.mode != "su"

    @property
    def needs_twin(self) -> bool:
        """Whether H_s takes part."""
        return self.mode != "un"

    @property
    def needs_state(self) -> bool:
        """Whether H itself takes part."""
        return self.mode != "us_x"

    def __call__(
        self,
        state: Tensor | None,
        dropout_view: Tensor | None,
        twin: Tensor | None,
        targets: Tensor,
    ) -> Tensor:
        """Returns the weighted terms of each row, ``[B]``.

        Args:
            state: H ``[B, D]``; None where `needs_state` is false, and so on.
            dropout_view: H' ``[B, D]``.
            twin: H_s ``[B, D]``.
            targets: ``[B] int64`` what each row's sequence is followed by.
        """
        anchor = dropout_view if self.mode == "us_x" else state
        if anchor is None:
            raise ValueError(f"Mode {self.mode} needs a view that was not given.")
        total = anchor.new_zeros(len(anchor))
        if self.mode in ("us", "un"):
            total = total + self.unsupervised * self._rows(anchor, dropout_view, targets)
        if self.mode != "un":
            total = total + self.supervised * self._rows(anchor, twin, targets)
        return total

    def _rows(self, one: Tensor, other: Tensor | None, targets: Tensor) -> Tensor:
        if other is None:
            raise ValueError(f"Mode {self.mode} needs a view that was not given.")
        groups = targets if self.mask_same_target else None
        return nt_xent_rows(one, other, groups, self.temperature, self.similarity)


def nt_xent_rows(
    one: Tensor,
    other: Tensor,
    groups: Tensor | None,
    temperature: float,
    similarity: Similarity = "dot",
) -> Tensor:
    """Returns NT-Xent ``[B]``: the mean over the two views of each row.

    Each of the 2B views has to find the other view of its row among all other views:

        l(x) = -log( exp(<x, x+> / t) / (exp(<x, x+> / t) + sum over negatives of exp(<x, n> / t)) )

    Args:
        one: ``[B, D] float``.
        other: ``[B, D] float``.
        groups: ``[B] int64``; rows of one group are no negatives of each other. None: all differ.
        temperature: t.
        similarity: Inner product, or that of the two at length 1.
    """
    n = len(one)
    views = torch.cat([one, other])  # [2B, D]
    if similarity == "cosine":
        views = F.normalize(views, dim=-1)
    scores = views @ views.T / temperature  # [2B, 2B]
    row = torch.arange(n, device=one.device).repeat(2)
    goal = torch.arange(2 * n, device=one.device).roll(n)  # where the other view of a row lies
    left_out = torch.eye(2 * n, dtype=torch.bool, device=one.device)
    if groups is not None:
        both = groups.repeat(2)
        left_out |= (both[:, None] == both[None, :]) & (row[:, None] != row[None, :])
    scores = scores.masked_fill(left_out, float("-inf"))
    loss = F.cross_entropy(scores, goal, reduction="none")  # [2B]
    return (loss[:n] + loss[n:]) / 2
