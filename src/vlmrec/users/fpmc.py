"""Markov chains with a vector for each user: the state is the user and the latest item alone.

The user side of FPMC (Rendle, Freudenthaler & Schmidt-Thieme, WWW 2010, Equations 10 and 11).
Whatever a history held before its latest item only shows in the user's own vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UserFactors(nn.Module):
    """One learned vector for each known user; that of unknown users is zero.

    Vectors should start at zero (`vlmrec.models.spec.draw_weights` does that): a user of whom
    training has no row then ranks like one that is not known, and not by noise.

    Args:
        n_users: Number of users U.
        dim: Width D.
    """

    def __init__(self, n_users: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_users + 1, dim))

    def forward(self, users: Tensor) -> Tensor:
        """Returns ``[B, D]`` for internal user ids ``[B]``; ids beyond U are unknown too."""
        known = (users > 0) & (users < len(self.weight))  # [B]
        own = F.embedding(users.masked_fill(~known, 0), self.weight)
        return own.masked_fill(~known.unsqueeze(-1), 0.0)


class PersonalMarkovChain(nn.Module):
    """A user's vector plus a linear map of the latest item's vector.

    Over content vectors this is FPMC with shared item factors: <p_u, e_i> + <W e_l, e_i>.

    Args:
        dim: Width D of item vectors and states.
        n_users: Number of users U.
    """

    personal = True
    """Takes user ids as a third argument."""

    def __init__(self, *, dim: int, n_users: int) -> None:
        super().__init__()
        self.factors = UserFactors(n_users, dim)
        self.transition = nn.Linear(dim, dim, bias=False)

    def forward(self, vectors: Tensor, mask: Tensor, users: Tensor) -> Tensor:
        """Returns the state after each item.

        Args:
            vectors: ``[B, T, D]`` item vectors, padded on the right.
            mask: ``[B, T] bool`` true where there is an item.
            users: ``[B] int64`` internal user ids, 0 for one that is not known.

        Returns:
            ``[B, T, D]``; the state at t depends on the user and position t only, and in the
            padding on the user alone.
        """
        latest = self.transition(vectors * mask.unsqueeze(-1).to(vectors.dtype))
        return self.factors(users).unsqueeze(1) + latest


class FactorChain(nn.Module):
    """The user side of FPMC's own four factor matrices, K factors each.

    An item's row holds its three: [V^LI | V^IU | V^IL]. The state after item l of user u is
    [0 | V^UI_u | V^LI_l], so that its inner product with the row of item i is
    <V^UI_u, V^IU_i> + <V^LI_l, V^IL_i>.

    Args:
        n_factors: K.
        n_users: Number of users U.
    """

    personal = True
    """Takes user ids as a third argument."""

    def __init__(self, *, n_factors: int, n_users: int) -> None:
        super().__init__()
        self.n_factors = n_factors
        self.factors = UserFactors(n_users, n_factors)

    def forward(self, vectors: Tensor, mask: Tensor, users: Tensor) -> Tensor:
        """Returns the state after each item.

        Args:
            vectors: ``[B, T, 3K]`` rows of items, padded on the right.
            mask: ``[B, T] bool`` true where there is an item.
            users: ``[B] int64`` internal user ids, 0 for one that is not known.

        Returns:
            ``[B, T, 3K]``; in the padding it depends on the user alone.
        """
        latest = vectors[..., : self.n_factors] * mask.unsqueeze(-1).to(vectors.dtype)
        user = self.factors(users).unsqueeze(1).expand_as(latest)  # [B, T, K]
        return torch.cat([torch.zeros_like(latest), user, latest], dim=-1)
