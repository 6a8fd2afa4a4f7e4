"""The leak and fairness card: every check, in the order in which it is read."""

from vlmrec.data.checks.check import DataCheck, Subject, skipped
from vlmrec.data.checks.contents import (
    missing_contents,
    near_contents,
    same_contents,
    twins_across_border,
    unusable_pictures,
)
from vlmrec.data.checks.events import exact_duplicates, repeated_pairs, tied_times, twin_users
from vlmrec.data.checks.filtering import k_core_before_split
from vlmrec.data.checks.near_pictures import PicturePrint, near_pictures
from vlmrec.data.checks.near_words import near_titles, same_words
from vlmrec.data.checks.order import order_matters
from vlmrec.data.checks.popularity import unequal_interactions
from vlmrec.data.checks.targets import (
    future_in_training,
    targets_in_history,
    targets_unseen,
    users_to_test,
)
from vlmrec.data.picture_survey import PictureSurvey, same_pictures

_ABOUT_EVENTS = (tied_times, exact_duplicates, repeated_pairs, twin_users)
_ABOUT_TARGETS = (users_to_test, future_in_training, targets_in_history, targets_unseen)
_ABOUT_USE = (k_core_before_split, order_matters, unequal_interactions)


def check_dataset(
    subject: Subject, survey: PictureSurvey, prints: list[PicturePrint | None] | None
) -> tuple[DataCheck, ...]:
    """Returns the card.

    Args:
        subject: What is checked.
        survey: What is known of its pictures.
        prints: One an item, or None where pictures were not decoded.
    """
    return (
        *(check(subject) for check in (*_ABOUT_TARGETS, *_ABOUT_EVENTS, *_ABOUT_USE)),
        *missing_contents(subject),
        unusable_pictures(survey),
        *_about_twins(subject, survey, prints),
    )


def _about_twins(
    subject: Subject, survey: PictureSurvey, prints: list[PicturePrint | None] | None
) -> list[DataCheck]:
    catalog = subject.dataset.catalog
    words, pictures = same_words(catalog), same_pictures(catalog.image_paths())
    near = {"words": near_titles(catalog)}
    lines = [near_contents(subject, "near-duplicate titles", near["words"], words)]
    if prints is None:
        why = f"{survey.named:,} pictures would have to be decoded: --pictures"
        lines.append(skipped("near-duplicate pictures", why))
    else:
        near["pictures"] = near_pictures(prints)
        lines.append(near_contents(subject, "near-duplicate pictures", near["pictures"], pictures))
    return [*same_contents(subject, words, pictures), *lines, twins_across_border(subject, near)]
