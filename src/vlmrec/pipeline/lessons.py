"""What a run's record and its report say of what the model has been taught."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vlmrec.core.lessons import Lesson, Taught
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.evaluation.report import TaughtAnswer, TaughtTask
from vlmrec.models.spec import Recommender
from vlmrec.pipeline.item_cards import ItemCards


def losses_now(model: Recommender) -> dict[str, float]:
    """Returns the losses of a model that is taught answers, by lesson; empty for all others."""
    return model.held_out_losses() if isinstance(model, Taught) else {}


def taught_record(
    model: Recommender, before: Mapping[str, float], seed: int, dataset: Dataset
) -> dict[str, Any]:
    """Returns the part ``taught`` of a run's record; empty where nothing was taught.

    Args:
        model: A trained model.
        before: What `losses_now` gave before the training.
        seed: Of the run.
        dataset: Whose items it was taught.
    """
    found = model.lessons(before, Streams(seed)) if isinstance(model, Taught) else ()
    if not found:
        return {}
    return {"taught": {one.name: _lesson(one, dataset) for one in found}}


def _lesson(lesson: Lesson, dataset: Dataset) -> dict[str, Any]:
    names = dataset.items
    return {
        "title": lesson.title,
        "learned": lesson.n_learned,
        "held_out": lesson.n_held_out,
        "token_loss": {
            "before": lesson.loss_before,
            "after": lesson.loss,
            "another's question": lesson.loss_misled,
            "bag of words": lesson.yardstick,
        },
        "remark": lesson.remark,
        "longest_answer": lesson.longest,
        "answers": [
            {
                "item": names.to_external(np.array([one.item]))[0],
                "shown": names.to_external(np.array(one.shown)),
                "expected": one.expected,
                "given": one.given,
            }
            for one in lesson.answers
        ],
    }


def taught_tasks(info: Mapping[str, Any], dataset: Dataset) -> tuple[TaughtTask, ...]:
    """Returns what a report says of the part ``taught`` of a run's record.

    Args:
        info: The record.
        dataset: Where titles and pictures are.
    """
    cards = ItemCards(dataset)

    def answers(records: Sequence[Mapping[str, Any]]) -> Iterable[TaughtAnswer]:
        for one in records:
            shown = cards.of(dataset.items.to_internal(one["shown"]))
            yield TaughtAnswer(shown, one["expected"], _readable(one["given"]))

    return tuple(
        TaughtTask(
            name=one["title"],
            n_learned=one["learned"],
            n_held_out=one["held_out"],
            losses=one["token_loss"],
            remark=one["remark"],
            answers=tuple(answers(one["answers"])),
            longest=one["longest_answer"],
        )
        for one in info.get("taught", {}).values()
    )


def _readable(text: str) -> str:
    """Returns what a page can show of a text that a model made: any bytes, control signs too."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
