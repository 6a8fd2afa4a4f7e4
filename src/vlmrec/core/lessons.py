"""What a model was taught in words, and how well it answers what it was not told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vlmrec.core.random import Streams


@dataclass(frozen=True)
class Answer:
    """A question that was not learned from, with its answer and the model's.

    Attributes:
        item: Internal id of the item that the answer is about.
        shown: Internal ids of the items that the question shows, oldest first.
        expected: The answer.
        given: What the model says.
    """

    item: int
    shown: tuple[int, ...]
    expected: str
    given: str


@dataclass(frozen=True)
class Lesson:
    """One kind of question, and how well it is answered.

    Losses are means over the examples that were not learned from, each the mean over its
    answer's tokens in nats; None where none was held out, or where it was not measured.

    Attributes:
        name: As in the model's options.
        title: In words.
        n_learned: Examples that were learned from.
        n_held_out: Examples that were not.
        loss_before: Before anything was learned.
        loss: After it.
        loss_misled: After it, each answer asked for with another answer's question: no higher
            than `loss` where the model does not look at what it is asked.
        yardstick: Of telling each token by how often it occurs in the answers learned from.
        remark: What a reader must know of these figures, or empty.
        answers: Some that were not learned from, drawn at random.
        longest: After how many tokens a given answer is cut off.
    """

    name: str
    title: str
    n_learned: int
    n_held_out: int
    loss_before: float | None
    loss: float | None
    loss_misled: float | None
    yardstick: float | None
    remark: str = ""
    answers: tuple[Answer, ...] = ()
    longest: int = 0


@runtime_checkable
class Taught(Protocol):
    """A model that learns to answer questions, and is also asked what it did not learn from."""

    def held_out_losses(self) -> dict[str, float]:
        """Returns the mean token loss in nats on held-out examples, by lesson."""
        ...

    def lessons(self, losses_before: Mapping[str, float], streams: Streams) -> tuple[Lesson, ...]:
        """Returns how well the model answers now; empty where it was taught nothing.

        Args:
            losses_before: What `held_out_losses` was before training.
            streams: Which answers are shown.
        """
        ...
