"""Lists mixed by quota, place by place."""

from collections.abc import Sequence
from fractions import Fraction


def plain_mixed(old: Sequence[int], new: Sequence[int], share: Fraction) -> list[int]:
    """Returns one list of both kinds, each in its order, given best first."""
    old, new, mixed = list(old), list(new), []
    n_new = 0
    while old or new:
        due = (len(mixed) + 1) * share // 1 > n_new
        if (due and new) or not old:
            mixed.append(new.pop(0))
            n_new += 1
        else:
            mixed.append(old.pop(0))
    return mixed


def plain_mixed_place(
    scores: Sequence[float], target: int, new: Sequence[bool], share: Fraction
) -> float:
    """Returns the mean place of item `target` over all orders of its equals of the same kind."""
    kinds: dict[bool, list[int]] = {}
    for kind in (False, True):
        items = [item for item in range(len(scores)) if new[item] == kind]
        kinds[kind] = sorted(items, key=lambda item: -scores[item])
    own = kinds[new[target]]
    equals = [place for place, item in enumerate(own) if scores[item] == scores[target]]
    places = []
    for place in equals:  # the target stands here, its equals on the other places
        order = [item for item in own if item != target]
        order.insert(place, target)
        both = {new[target]: order, (not new[target]): kinds[not new[target]]}
        places.append(plain_mixed(both[False], both[True], share).index(target) + 1)
    return sum(places) / len(places)
