"""What stands below the tables of a comparison: data, protocol, tests, losses, what is missing."""

from collections.abc import Sequence

from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.recipes import N_SAMPLED


def part_name(one: Comparison, parts: Sequence[Comparison]) -> str:
    """Returns what tells a comparison from the others on the page: data, scenario, or both."""
    if len({part.dataset for part in parts}) == 1 and len(parts) > 1:
        return one.scenario.name
    if len({part.scenario.name for part in parts}) == 1:
        return one.dataset
    return f"{one.dataset}, {one.scenario.name}"


def shown_published(parts: Sequence[Comparison]) -> tuple[str, ...]:
    """Returns the datasets whose published numbers stand beside ours.

    Those of the data's own names, else those that the recipe chose.
    """
    layout = parts[0].recipe.layout
    if "published" not in layout.blocks:
        return ()
    known = dict.fromkeys(name for row in parts[0].recipe.rows for name in row.published)
    ours = [one.dataset for one in parts]
    same = tuple(name for name in known if any(same_name(name, data) for data in ours))
    return same or tuple(name for name in layout.published if name in known)


def same_name(first: str, second: str) -> bool:
    """Returns whether two names of datasets mean the same.

    >>> same_name("ML-1M", "ml-1m"), same_name("ML-1M", "ml-100k-mm")
    (True, False)
    """
    return _plain(first) == _plain(second)


def about_means(parts: Sequence[Comparison], marks: str) -> tuple[str, ...]:
    """Returns the notes below the table of means.

    Args:
        parts: The comparisons of one recipe.
        marks: How best and second best are marked.
    """
    recipe, seeds = parts[0].recipe, parts[0].seeds
    over = "Means over" if len(seeds) > 1 else "From"
    filtered = ""
    if recipe.filtered_metrics:
        filtered = " Filtered: items of the history are left out of the ranking."
    sampled = ""
    if recipe.sampled_metrics:
        sampled = (
            f" Sampled: the target among {N_SAMPLED} random unseen items, which lifts every number "
            "several times; compare such columns with papers that do the same, and nothing else."
        )
    return (
        f"{over} {_seeds(seeds)}; 1 is perfect. {marks}.{filtered}{sampled}",
        *(_about_data(one, parts) for one in parts),
        *_about_published(parts),
        *_about_unfinished(parts),
    )


def about_intervals(one: Comparison, *, several: bool) -> str:
    """Returns the note below tables of intervals.

    Args:
        one: The comparison.
        several: Whether the page has others beside it.
    """
    each = "each metric and each of these tables" if several else "each metric"
    return (
        f"Intervals: bootstrap over {one.n_users:,} users of each user's mean over seeds, "
        f"each for itself. Differences from '{one.recipe.baseline.label}' are taken case by "
        "case. d: their mean over their standard deviation over users (.2 is small). p: two-sided, "
        f"corrected for the number of rows (Holm), {each} for itself."
    )


def about_losses(one: Comparison) -> tuple[str, ...]:
    """Returns the notes on what each row minimised."""
    rows: dict[str, list[str]] = {}
    for row in one.rows:
        if row.found is not None:
            rows.setdefault(row.loss, []).append(row.row.label)
    if len(rows) == 1:
        return tuple(f"Loss of all rows: {loss}." for loss in rows)
    return tuple(f"Loss of {'; '.join(labels)}: {loss}." for loss, labels in rows.items())


def _about_data(one: Comparison, parts: Sequence[Comparison]) -> str:
    of = f" of {part_name(one, parts)}" if len(parts) > 1 else ""
    told = (one.protocol, one.preparation)
    protocol = "".join(f"; {text}" for text in told if text)
    return (
        f"Data{of}: {one.dataset} (fingerprint {one.fingerprints['dataset']}), "
        f"{one.scenario.describe()}{protocol}."
    )


def _about_unfinished(parts: Sequence[Comparison]) -> list[str]:
    def where(one: Comparison) -> str:
        return f"{part_name(one, parts)}, " if len(parts) > 1 else ""

    waiting = [
        f"{row.row.label} ({where(one)}{_seeds([s for s in one.seeds if s not in row.runs])})"
        for one in parts
        for row in one.rows
        if len(row.runs) < len(one.seeds)
    ]
    if not waiting:
        return []
    or_fixed = ""
    if any(one.scenario.gap_in_test is not None for one in parts):
        or_fixed = " (or cannot be shown other content in the test)"
    return [f"Not finished{or_fixed}, so left out or '-': {'; '.join(waiting)}."]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _about_published(parts: Sequence[Comparison]) -> list[str]:
    told: list[str] = []
    for name in shown_published(parts):
        if any(same_name(name, one.dataset) for one in parts):
            text = (
                f"Published: the paper's numbers on {name}. Ours are on data of that name; compare "
                "the counts and the protocol before the numbers."
            )
        else:
            ours = ", ".join(dict.fromkeys(one.dataset for one in parts))
            text = (
                f"Published: the paper's numbers on {name}. Ours are on {ours}, "
                "other data: compare the order of the rows, not the numbers."
            )
        told.append(text)
    return told


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
