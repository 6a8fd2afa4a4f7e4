"""Which findings of an inspection need attention, and what to do about them."""

from collections.abc import Iterator

from vlmrec.data.inspection import Inspection
from vlmrec.data.notes import Note, amount

_MANY_TIES = 0.05
_LITTLE_COVERAGE = 0.9
_MANY_UNSEEN = 0.05


def warnings_of(found: Inspection) -> tuple[Note, ...]:
    """Returns one warning for each finding that can mislead, the gravest first."""
    return (*_about_events(found), *_about_tests(found), *_about_items(found))


def _about_events(found: Inspection) -> Iterator[Note]:
    repeats, time = found.repeats, found.time
    if repeats.exact_duplicates:
        yield _warn(
            repeats.exact_duplicates,
            f"{amount(repeats.exact_duplicates, 'interaction')} repeat user, item and time of "
            "another one: a model that predicts the same item again is rewarded for it. "
            "vlmrec prepare drops rows that are equal in all columns.",
        )
    if time.real and time.tied_share > _MANY_TIES:
        yield _warn(
            time.users_with_tied_end,
            f"{time.tied_share:.1%} of the interactions share user and time with another one; for "
            f"{time.users_with_tied_end:,} of {found.users:,} users the last two tie, so what is "
            "tested depends on the row order of the source.",
        )
    if not time.real:
        yield _warn(
            found.interactions,
            "Times are positions in a line, not real: only leave-one-out makes sense.",
        )


def _about_tests(found: Inspection) -> Iterator[Note]:
    tests = found.leave_one_out
    if tests is None:
        yield _warn(found.users, "No user has three events: leave-one-out has nothing to test.")
        return
    if found.time.real and tests.before_training_end > 0:
        share = tests.before_training_end
        yield _warn(
            round(share * tests.targets),
            f"{share:.1%} of the leave-one-out test targets are older than the newest training "
            "event: training knows other users' future. Report the global-time split as well.",
        )
    if tests.in_history:
        yield _warn(
            tests.in_history,
            f"{amount(tests.in_history, 'test target')} the user had before: with seen items "
            "filtered out they are impossible to hit.",
        )
    if tests.unseen_in_training > _MANY_UNSEEN * tests.targets:
        yield _warn(
            tests.unseen_in_training,
            f"{amount(tests.unseen_in_training, 'test target')} never occur in training: models "
            "that know items by their id alone cannot hit them.",
        )


def _about_items(found: Inspection) -> Iterator[Note]:
    for name, covered in found.coverage.items():
        if 0 < covered.item_share < _LITTLE_COVERAGE:
            missing = found.items - covered.items
            yield _warn(missing, f"{amount(missing, 'item')} without a {name}.")
    lost = sum(found.pictures.problems.values())
    if lost:
        kinds = ", ".join(
            f"{count:,} {kind} (such as '{found.pictures.examples[kind]}')"
            for kind, count in found.pictures.problems.items()
        )
        yield _warn(lost, f"{amount(lost, 'picture')} that cannot be used: {kinds}.")
    if found.repeats.same_words:
        yield _warn(
            found.repeats.same_words,
            f"{amount(found.repeats.same_words, 'item')} with the title and description of "
            "another item: the same thing under two ids splits its clicks and its rank.",
        )
    if found.repeats.same_picture:
        yield _warn(
            found.repeats.same_picture,
            f"{amount(found.repeats.same_picture, 'item')} with the very picture of another "
            "item: duplicates, or a placeholder that stands for no picture.",
        )


def _warn(count: int, sentence: str) -> Note:
    return Note("warning", count, sentence)
