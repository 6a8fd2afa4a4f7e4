"""Checks of words and pictures: what is missing, and what is there more than once."""

import numpy as np
import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.catalog import Catalog
from vlmrec.data.checks.check import (
    BoolArray,
    DataCheck,
    Subject,
    checked,
    judge,
    share,
    skipped,
)
from vlmrec.data.checks.thresholds import FAIL_SHARE
from vlmrec.data.checks.twins import NO_GROUP, Twins
from vlmrec.data.notes import amount
from vlmrec.data.picture_survey import PictureSurvey

NO_WORDS, NO_PICTURE = "no item has words", "no item has a picture"
_MERGE = "The same thing under two ids splits its clicks and its rank: merge the ids."
_PLACEHOLDER = (
    "Duplicates, or a placeholder that stands for no picture: merge the ids, or leave the "
    "placeholder out."
)

_VARIANTS = "Variants of one thing, or duplicates: merge those that are one thing to a buyer."


def has_words(catalog: Catalog) -> dict[str, BoolArray]:
    """Returns ``[I]`` for title and description: whether an item has one."""
    return {
        name: (catalog.table[name].cast(pl.String).fill_null("").str.strip_chars() != "").to_numpy()
        for name in (TITLE, DESCRIPTION)
    }


def missing_contents(subject: Subject) -> list[DataCheck]:
    """Items without words or picture, and how many test targets they are."""
    catalog = subject.dataset.catalog
    words = has_words(catalog)
    untitled = f" ({int((~words[TITLE]).sum()):,} have no title)"
    read, picture = words[TITLE] | words[DESCRIPTION], catalog.table[IMAGE].is_not_null().to_numpy()
    return [
        _missing(subject, "items without words", read, NO_WORDS, untitled),
        _missing(subject, "items without a picture", picture, NO_PICTURE),
    ]


def _missing(subject: Subject, name: str, has: BoolArray, none: str, more: str = "") -> DataCheck:
    if not has.any():
        return skipped(name, none)
    lacking, targets = int((~has).sum()), subject.targets_among(~has)
    part = share(targets, len(subject.targets))
    return checked(
        name,
        judge(part if len(subject.targets) else share(lacking, len(has))),
        f"{lacking:,} of {len(has):,} items{more}, {amount(targets, 'test target')} ({part:.1%})",
        "Keep them and report results by what items have; dropping them flatters models that "
        "read content.",
        {"items": lacking, "targets": targets, "target_share": part},
    )


def unusable_pictures(survey: PictureSurvey) -> DataCheck:
    """Pictures that are missing or cannot be read."""
    name = "unusable pictures"
    if not survey.named:
        return skipped(name, NO_PICTURE)
    lost = sum(survey.problems.values())
    kinds = [
        f"{count:,} {kind} (such as '{survey.examples[kind]}')"
        for kind, count in survey.problems.items()
    ]
    looked = "decoded" if survey.decoded else "headers read; --pictures decodes them"
    return checked(
        name,
        judge(share(lost, survey.named), fail=FAIL_SHARE),
        f"{lost:,} of {survey.named:,} ({looked})" + (": " + ", ".join(kinds) if kinds else ""),
        "These items count as having no picture. Fetch or repair them.",
        {"pictures": lost, "share": share(lost, survey.named)},
    )


def same_contents(subject: Subject, words: Twins, pictures: Twins) -> list[DataCheck]:
    """Items that are the same under two ids, by their words and by the bytes of the picture."""
    return [
        _twins(subject, "items with same words", words, words.among(), _MERGE, FAIL_SHARE),
        _twins(
            subject, "items with same picture", pictures, pictures.among(), _PLACEHOLDER, FAIL_SHARE
        ),
    ]


def near_contents(subject: Subject, name: str, near: Twins, same: Twins) -> DataCheck:
    """Items that are nearly, but not quite, the same as another one.

    Args:
        subject: What is looked at.
        name: What the line is called.
        near: Which items are near.
        same: Which are the same; they have their own line.
    """
    return _twins(subject, name, near, near.among() & ~same.among(), _VARIANTS, None)


def _twins(
    subject: Subject,
    name: str,
    twins: Twins,
    found: BoolArray,
    advice: str,
    fail: float | None,
) -> DataCheck:
    if not (twins.groups != NO_GROUP).any():
        return skipped(name, NO_WORDS if "picture" not in name else NO_PICTURE)
    items, targets = int(found.sum()), subject.targets_among(found)
    of_items, of_targets = share(items, len(found)), share(targets, len(subject.targets))
    verdict = judge(of_targets, fail=fail)
    if verdict == "pass":
        verdict = judge(of_items)
    least = "" if twins.complete else "at least "
    return checked(
        name,
        verdict,
        f"{least}{amount(items, 'item')} ({of_items:.1%}{_example(subject, twins, found)}), "
        f"{amount(targets, 'test target')} ({of_targets:.1%})",
        advice,
        {"items": items, "share": of_items, "targets": targets, "target_share": of_targets},
    )


def twins_across_border(subject: Subject, kinds: dict[str, Twins]) -> DataCheck:
    """Cold items whose near twin is warm, in the cold-item split with its default options.

    Args:
        subject: What is looked at.
        kinds: Near items by words and by pictures; those that were looked for.
    """
    name = "warm twins of cold items"
    kinds = {kind: twins for kind, twins in kinds.items() if (twins.groups != NO_GROUP).any()}
    if not kinds:
        return skipped(name, f"{NO_WORDS}, and no picture was looked at")
    try:
        split = subject.dataset.cold_items()
    except DataError as error:
        return skipped(name, f"no cold-item split: {error.problem}")
    cold = np.zeros(subject.dataset.n_items, dtype=np.bool_)
    candidates = split.test_candidates
    cold[(split.test.targets if candidates is None else candidates) - 1] = True
    by_kind = {kind: cold & twins.among(~cold) for kind, twins in kinds.items()}
    either = np.logical_or.reduce(list(by_kind.values()))
    targets = int(either[split.test.targets - 1].sum())
    part = share(targets, len(split.test))
    parts = ", ".join(f"{int(found.sum()):,} by {kind}" for kind, found in by_kind.items())
    figures = {f"items_by_{kind}": int(found.sum()) for kind, found in by_kind.items()}
    return checked(
        name,
        judge(part, fail=FAIL_SHARE),
        f"{int(either.sum()):,} of {int(cold.sum()):,} cold items have one ({parts}), "
        f"{targets:,} of {len(split.test):,} cold test targets ({part:.1%})",
        "A cold item whose near twin is warm is not cold. Merge twins before a cold-item split.",
        {**figures, "items": int(either.sum()), "targets": targets, "target_share": part},
    )


def _example(subject: Subject, twins: Twins, found: BoolArray) -> str:
    for row in np.flatnonzero(found)[:1]:
        twin = twins.twin_of(int(row))
        if twin is not None:
            ids = np.array([row, twin]) + 1
            return ", such as '{}' and '{}'".format(*subject.dataset.items.to_external(ids))
    return ""
