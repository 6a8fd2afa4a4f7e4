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
    queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor
) -> Tensor:
    """Returns the cross-entropy of the target among itself and its negatives.

    A negative that is the target does not count; one that was drawn twice counts twice.
    """
    total = queries.new_zeros(())
    for row, (query, target) in enumerate(zip(queries, targets.tolist(), strict=True)):
        drawn = negatives if negatives.dim() == 1 else negatives[row]
        rivals = [target, *(item for item in drawn.tolist() if item != target)]
        scores = keys[rivals] @ query
        total = total + torch.logsumexp(scores, dim=0) - scores[0]
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
