"""The three splits in plain Python loops over rows (user, item, time)."""

from collections.abc import Sequence

Row = tuple[str, str, int]
Case = tuple[str, tuple[str, ...], str]
"""User, history, target."""


def by_user(rows: Sequence[Row]) -> dict[str, list[tuple[str, int]]]:
    """Returns each user's (item, time), by time, equal times in row order."""
    users: dict[str, list[tuple[str, int]]] = {}
    for user, item, time in rows:
        users.setdefault(user, []).append((item, time))
    return {user: sorted(events, key=lambda event: event[1]) for user, events in users.items()}


def leave_one_out(rows: Sequence[Row]) -> tuple[dict[str, list[str]], list[Case], list[Case]]:
    """Returns training items by user, validation cases and test cases."""
    train: dict[str, list[str]] = {}
    valid: list[Case] = []
    test: list[Case] = []
    for user, events in by_user(rows).items():
        items = [item for item, _ in events]
        if len(items) < 3:
            train[user] = items
            continue
        train[user] = items[:-2]
        valid.append((user, tuple(items[:-2]), items[-2]))
        test.append((user, tuple(items[:-1]), items[-1]))
    return train, valid, test


def global_time(
    rows: Sequence[Row], cut_valid: int, cut_test: int, rule: str
) -> tuple[dict[str, list[str]], list[Case], list[Case]]:
    """Returns the same for two points in time; `rule` is first, last or all."""
    train: dict[str, list[str]] = {}
    cases: dict[str, list[Case]] = {"valid": [], "test": []}
    for user, events in by_user(rows).items():
        items = [item for item, _ in events]
        early = [item for item, time in events if time < cut_valid]
        if early:
            train[user] = early
        windows = {
            "valid": [i for i, (_, time) in enumerate(events) if cut_valid <= time < cut_test],
            "test": [i for i, (_, time) in enumerate(events) if time >= cut_test],
        }
        for name, places in windows.items():
            chosen = {"first": places[:1], "last": places[-1:], "all": places}[rule]
            cases[name] += [(user, tuple(items[:i]), items[i]) for i in chosen if i > 0]
    return train, cases["valid"], cases["test"]


def cold_items(
    rows: Sequence[Row], cold: set[str], last: float
) -> tuple[dict[str, list[str]], list[Case], list[Case]]:
    """Returns the same where `cold` items are unknown to training."""
    train: dict[str, list[str]] = {}
    valid: list[Case] = []
    test: list[Case] = []
    for user, events in by_user(rows).items():
        items = [item for item, _ in events]
        late = int(len(items) * (1 - last))
        early = [item for item in items[:late] if item not in cold]
        if len(early) >= 3:
            train[user] = early[:-1]
            valid.append((user, tuple(early[:-1]), early[-1]))
        for place in range(late, len(items)):
            past = tuple(item for item in items[:place] if item not in cold)
            if items[place] in cold and past:
                test.append((user, past, items[place]))
    return train, valid, test
