"""Molar's post-alignment as its Equation 4 reads, user by user, on autograd alone."""

import torch
from torch import Tensor


def plain_user_alignment(
    content: Tensor, ids: Tensor, targets: list[int], users: list[int] | None, temperature: float
) -> Tensor:
    """Returns the sum over users of both directions' ``-log p(own partner)``.

    Rivals are the rows with another target and another user; where there are none, p is 1.
    """
    total = content.new_zeros(())
    for row in range(len(content)):
        for one, other in ((content, ids), (ids, content)):
            scores: list[Tensor] = []
            for rival in range(len(content)):
                alike = targets[rival] == targets[row]
                alike = alike or (users is not None and users[rival] == users[row])
                if rival == row or not alike:
                    cosine = one[row] @ other[rival] / (one[row].norm() * other[rival].norm())
                    scores.append(cosine / temperature)
            cosine = one[row] @ other[row] / (one[row].norm() * other[row].norm())
            total = total + torch.logsumexp(torch.stack(scores), dim=0) - cosine / temperature
    return total
