"""The iterated k-core, one user and one item at a time, with nothing clever."""


def kcore(events: list[tuple[str, str]], min_user: int, min_item: int) -> list[int]:
    """Returns the positions of the events that stay."""
    left = list(range(len(events)))
    changed = True
    while changed:
        changed = False
        for part, least in ((0, min_user), (1, min_item)):
            for name in sorted({events[k][part] for k in left}):
                mine = [k for k in left if events[k][part] == name]
                if len(mine) < least:
                    left = [k for k in left if events[k][part] != name]
                    changed = True
    return left
