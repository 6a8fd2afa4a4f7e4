"""The losses as written in the papers, one position at a time, on autograd alone."""

import torch
from torch import Tensor


def plain_cross_entropy(queries: Tensor, keys: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over rows of ``log sum_j exp(q . k_j) - q . k_target``."""
    total = queries.new_zeros(())
    for query, target in zip(queries, targets.tolist(), strict=True):
        scores = keys @ query
        total = total + torch.logsumexp(scores, dim=0) - scores[target]
    return total


def plain_bce(queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Returns the sum over rows of ``-log s(q . k+) - mean_n log(1 - s(q . k_n))``."""
    total = queries.new_zeros(())
    for query, target, wrong in zip(queries, targets.tolist(), negatives.tolist(), strict=True):
        positive = torch.nn.functional.logsigmoid(query @ keys[target])
        refused = [torch.nn.functional.logsigmoid(-(query @ keys[item])) for item in wrong]
        total = total - positive - sum(refused) / len(refused)
    return total


def plain_sampled_softmax(
    queries: Tensor,
    keys: Tensor,
    targets: Tensor,
    negatives: Tensor,
    skip_similar: float | None = None,
    odds: Tensor | None = None,
) -> Tensor:
    """Returns the cross-entropy of the target among itself and its negatives.

    A negative that is the target does not count, nor does one whose cosine with it is above
    `skip_similar`; one that was drawn twice counts twice. With odds ``[P]``, one that is drawn
    twice as often as uniformly counts half.
    """
    total = queries.new_zeros(())
    for row, (query, target) in enumerate(zip(queries, targets.tolist(), strict=True)):
        drawn = negatives if negatives.dim() == 1 else negatives[row]
        rivals = [target]
        for item in drawn.tolist():
            close = keys[item] @ keys[target] / (keys[item].norm() * keys[target].norm())
            if item != target and (skip_similar is None or close <= skip_similar):
                rivals.append(item)
        scores = keys[rivals] @ query
        weights = torch.ones_like(scores) if odds is None else 1 / odds[rivals].to(scores)
        weights[0] = 1  # the target was not drawn
        total = total + torch.logsumexp(scores + weights.log(), dim=0) - scores[0]
    return total


def plain_gbce(
    queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor, n_items: int, t: float
) -> Tensor:
    """Returns the sum over rows of ``-(log s(q . k+)^beta + sum_n log(1 - s(q . k_n))) / (N + 1)``.

    Beta as gSASRec's paper writes it; a negative that is the target adds nothing.
    """
    n = negatives.shape[-1]
    alpha = min(n / (n_items - 1), 1.0)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    total = queries.new_zeros(())
    for row, (query, target) in enumerate(zip(queries, targets.tolist(), strict=True)):
        drawn = negatives if negatives.dim() == 1 else negatives[row]
        inside = beta * torch.nn.functional.logsigmoid(query @ keys[target])
        for item in drawn.tolist():
            if item != target:
                inside = inside + torch.nn.functional.logsigmoid(-(query @ keys[item]))
        total = total - inside / (n + 1)
    return total


def plain_bpr(queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Returns the sum over rows of ``- mean_n log s(q . k+ - q . k_n)``."""
    total = queries.new_zeros(())
    for query, target, wrong in zip(queries, targets.tolist(), negatives.tolist(), strict=True):
        ahead = [query @ keys[target] - query @ keys[item] for item in wrong]
        total = total - sum(torch.nn.functional.logsigmoid(one) for one in ahead) / len(ahead)
    return total


def plain_nt_xent(
    one: Tensor,
    other: Tensor,
    groups: list[int] | None,
    temperature: float,
    similarity: str,
) -> Tensor:
    """Returns each row's NT-Xent, ``[B]``, view by view and rival by rival."""

    def close(a: Tensor, b: Tensor) -> Tensor:
        score = a @ b
        if similarity == "cosine":
            score = score / (a.norm() * b.norm())
        return score / temperature

    losses: list[Tensor] = []
    for row in range(len(one)):
        total = one.new_zeros(())
        for mine, partner in ((one[row], other[row]), (other[row], one[row])):
            positive = close(mine, partner)
            scores = [positive]
            for rival in range(len(one)):
                if rival == row or (groups is not None and groups[rival] == groups[row]):
                    continue
                scores += [close(mine, one[rival]), close(mine, other[rival])]
            total = total + torch.logsumexp(torch.stack(scores), dim=0) - positive
        losses.append(total / 2)
    return torch.stack(losses)
