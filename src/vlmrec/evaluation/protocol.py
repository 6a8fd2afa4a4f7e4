"""One sentence that says how a number was measured, so that it cannot travel without it."""


def describe_protocol(
    *,
    n_cases: int,
    n_users: int,
    n_pool: int,
    n_items: int,
    filter_seen: bool,
    n_impossible: int,
) -> str:
    """Returns what was ranked, among what, with what hidden, and how ties count.

    >>> describe_protocol(n_cases=943, n_users=943, n_pool=1682, n_items=1682,
    ...                   filter_seen=False, n_impossible=0)
    'full ranking of 1,682 items, seen items not filtered, ties count half, 943 cases'
    """
    if n_pool == n_items:
        pool = f"full ranking of {n_items:,} items"
    else:
        pool = f"ranking among {n_pool:,} candidates of {n_items:,} items"
    seen = "seen items filtered" if filter_seen else "seen items not filtered"
    cases = f"{n_cases:,} cases"
    if n_users != n_cases:
        cases += f" of {n_users:,} users"
    parts = [pool, seen, "ties count half", cases]
    if n_impossible:
        parts.append(
            f"{n_impossible:,} of them with a target that was seen before (kept in the ranking)"
        )
    return ", ".join(parts)
