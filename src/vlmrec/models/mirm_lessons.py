"""How well the item model answers the questions that it was not told the answers of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vlmrec.core.lessons import Answer, Lesson
from vlmrec.core.random import Streams
from vlmrec.models.mirm_tasks import Example
from vlmrec.vlm.generating import generate
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.unigram_loss import unigram_loss

N_ANSWERS = 5
"""Answers that are shown of a task."""
LONGEST_ANSWER = 40
"""Tokens of a shown answer, at most."""

_TITLES = {
    "image_text": "Picture to description",
    "attributes": "Title and attributes to description",
    "behaviour": "History to the next title",
}
_ASKED = ("image_text", "behaviour")  # what can be copied from its prompt shows little
_COPIED = (
    "An answer that can be copied from its prompt and put into set sentences: a low loss shows "
    "that skill, not knowledge of items."
)
_ENDS_IN_YEAR = re.compile(r"\b(1[5-9]|20)\d\d\W*$")


def lessons_of(
    vlm: VisionLanguageModel,
    learned: Mapping[str, Sequence[Example]],
    held_out: Mapping[str, Sequence[Example]],
    *,
    before: Mapping[str, float],
    after: Mapping[str, float],
    misled: Mapping[str, float],
    streams: Streams,
) -> tuple[Lesson, ...]:
    """Returns a lesson for each task in `held_out`.

    Args:
        vlm: What was taught.
        learned: Examples that were learned from, by task.
        held_out: Examples that were not.
        before: Mean token loss on these before training, by task.
        after: The same now.
        misled: The same now, each example asked with another's question.
        streams: Which of them are answered.
    """
    longest = min(LONGEST_ANSWER, vlm.layout.max_tokens // 4)  # prompts need the rest
    return tuple(
        Lesson(
            name=name,
            title=_TITLES[name],
            n_learned=len(learned[name]),
            n_held_out=len(examples),
            loss_before=before.get(name),
            loss=after.get(name),
            loss_misled=misled.get(name),
            yardstick=_yardstick(vlm, learned[name], examples),
            remark=_remark(name, examples),
            answers=_answers(vlm, _drawn(examples, streams), longest) if name in _ASKED else (),
            longest=longest,
        )
        for name, examples in held_out.items()
    )


def misled(examples: Sequence[Example]) -> list[Example]:
    """Returns the examples, each with the question of the next one; a single one has no other.

    A model that answers these no worse does not look at what it is asked.
    """
    if len(examples) < 2:
        return []
    following = [*examples[1:], examples[0]]
    return [
        replace(one, prompt=other.prompt) for one, other in zip(examples, following, strict=True)
    ]


def _yardstick(
    vlm: VisionLanguageModel, learned: Sequence[Example], held_out: Sequence[Example]
) -> float | None:
    told, asked = ([one.answer for one in examples] for examples in (learned, held_out))
    return float(unigram_loss(vlm, told, asked).mean()) if asked else None


def _remark(name: str, examples: Sequence[Example]) -> str:
    """Returns why a task may be easier than it looks."""
    dated = sum(_ENDS_IN_YEAR.search(one.answer) is not None for one in examples)
    found = [_COPIED] if name == "attributes" else []
    if dated * 2 > len(examples):
        found.append(
            f"{100 * dated / len(examples):.0f} % of the held-out answers end in a year, "
            "whose tokens are easier to tell than those of a name."
        )
    return " ".join(found)


def _drawn(examples: Sequence[Example], streams: Streams) -> list[Example]:
    """Returns some of the examples, drawn at random."""
    if not examples:
        return []
    order = streams.numpy("shown answers", examples[0].task).permutation(len(examples))
    return [examples[place] for place in order[:N_ANSWERS]]


def _answers(
    vlm: VisionLanguageModel, examples: Sequence[Example], longest: int
) -> tuple[Answer, ...]:
    if not examples:
        return ()
    given = generate(vlm, [one.prompt for one in examples], longest)
    return tuple(
        Answer(one.item, one.shown, one.answer, words)
        for one, words in zip(examples, given, strict=True)
    )
