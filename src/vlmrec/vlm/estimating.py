"""How much memory a contrastive training step needs, and how long it takes, before it is run.

A few passes through the model's outline (see `vlmrec.vlm.tracing`) give what one forward pass
over a bucket of prompts keeps for its backward pass, and what each of the two needs on top for
a moment. A step is then put together as `VisionLanguageModel.encode` and autograd do it: all
buckets forwards, histories before items, then all of them backwards in reverse order, in which
gradients come up while activations go.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.vlm.batching import buckets
from vlmrec.vlm.layout import Row
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.passages import Passage, learning, size_of, uneven, walk, walk_few
from vlmrec.vlm.tracing import Speed

_FLOAT32 = 4
_HALF = 2
_OPTIMISER_MOVES = 7  # weight, gradient and two moments are read, all but the gradient written


@dataclass(frozen=True)
class Memory:
    """What a training step holds at its peak, in bytes.

    Attributes:
        weights: All weights and fixed numbers of the model.
        gradients: Of the weights that learn.
        optimiser: Two moments of each weight that learns (AdamW).
        pictures: Visual features of the batch.
        activations: What forward passes keep for backward passes, as far as it is still there.
        loss: Vectors, similarities and their gradients.
        temporary: The largest that comes and goes inside the backward pass.
    """

    weights: int
    gradients: int
    optimiser: int
    pictures: int
    activations: int
    loss: int
    temporary: int

    @property
    def total(self) -> int:
        """Sum of all."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class StepRows:
    """The prompts of one step.

    Attributes:
        histories: Tokens of each history prompt.
        items: Tokens of each distinct item prompt.
        feature_rows: Rows of visual features of all their pictures.
    """

    histories: Sequence[int]
    items: Sequence[int]
    feature_rows: int


@dataclass(frozen=True)
class StepCosts:
    """What steps of one way of tuning cost; made by `trace_step`.

    Attributes:
        width: Dimensions of a vector.
        feature_width: Numbers in a row of visual features.
        budget: Tokens in one forward pass.
        weights: Bytes of the model.
        trained: Bytes of the weights that learn.
        large: A full bucket of the longest histories.
        small: A few item prompts.
        speed: Of the device, or None.
    """

    width: int
    feature_width: int
    budget: int
    weights: int
    trained: int
    large: Passage
    small: Passage
    speed: Speed | None

    def memory(self, rows: StepRows, chunk: int | None = None) -> Memory:
        """Returns what a step holds at its peak.

        Args:
            rows: Its prompts.
            chunk: Rows that are encoded together under the gradient cache; None = all.
        """
        vectors = 4 * (len(rows.histories) + len(rows.items)) * self.width * _FLOAT32
        loss = vectors + 3 * len(rows.histories) * len(rows.items) * _FLOAT32
        pictures = rows.feature_rows * self.feature_width * _HALF
        if chunk is None:
            above, temporary = self._above(rows.histories, rows.items)
        else:
            parts = [(_longest(rows.histories, chunk), ()), ((), _longest(rows.items, chunk))]
            above, temporary = max(self._above(*part) for part in parts)
            pictures = pictures * chunk // max(len(rows.histories), chunk)
        return Memory(
            self.weights,
            self.trained,
            2 * self.trained,
            pictures,
            max(above - self.trained - temporary, 0),
            loss,
            temporary,
        )

    def seconds(self, rows: StepRows, *, twice: bool = False) -> float | None:
        """Returns how long a step takes, or None where the device's speed is unknown.

        Args:
            rows: Its prompts.
            twice: Whether every prompt goes forwards twice (gradient cache).
        """
        if self.speed is None:
            return None
        one = self.large
        passes = (sum(rows.histories) + sum(rows.items)) / one.tokens
        once = (1 + twice) * one.forward_seconds + one.backward_seconds
        return passes * once + _OPTIMISER_MOVES * self.trained / self.speed.bytes

    def _above(self, histories: Sequence[int], items: Sequence[int]) -> tuple[int, int]:
        """Returns the peak above weights, moments and loss, and the temporary part of it."""
        order = [*self._buckets(histories), *self._buckets(items)]
        level, peak = 0.0, 0.0
        for tokens, longest in order:
            kept = self._kept(tokens, longest)
            peak = max(peak, level + kept + self._between(tokens, "forward_extra"))
            level += kept
        temporary = 0.0
        for number, (tokens, longest) in enumerate(reversed(order)):
            extra = self._between(tokens, "later_extra" if number else "first_extra")
            peak = max(peak, level + extra)
            temporary = max(temporary, self._between(tokens, "later_extra"))
            level += (0 if number else self.trained) - self._kept(tokens, longest)
        peak = max(peak, self.trained + temporary)
        return int(peak), int(temporary)

    def _buckets(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        found = buckets(lengths, self.budget)
        longest = [(len(rows), max(lengths[row] for row in rows)) for rows in found]
        return [(rows * tokens, tokens) for rows, tokens in longest]

    def _kept(self, tokens: int, longest: int) -> float:
        """Returns what a pass keeps: part goes with tokens, masks with tokens times length."""
        one, other = self.small, self.large
        rate, other_rate = one.kept / one.tokens, other.kept / other.tokens
        if one.longest == other.longest:
            return tokens * other_rate
        slope = (other_rate - rate) / (other.longest - one.longest)
        return tokens * (other_rate + max(slope, 0.0) * (longest - other.longest))

    def _between(self, tokens: int, name: str) -> float:
        """Returns what goes with the size of a pass, from the smallest and the full one."""
        small, large = getattr(self.small, name), getattr(self.large, name)
        if self.large.tokens == self.small.tokens:
            return large * max(1.0, tokens / self.large.tokens)
        share = (tokens - self.small.tokens) / (self.large.tokens - self.small.tokens)
        return max(small + share * (large - small), 0.0)


def trace_step(
    model: VisionLanguageModel,
    histories: Sequence[Row],
    items: Sequence[Row],
    feature_width: int,
    speed: Speed | None,
) -> StepCosts:
    """Returns what steps over such prompts cost.

    Args:
        model: From `vlmrec.vlm.outline.load_outline`.
        histories: History prompts of the data.
        items: Item prompts of the data.
        feature_width: Numbers in a row of visual features.
        speed: Of the device; None leaves the time open.
    """
    budget = model.options.tokens_per_batch
    longest = max(histories, key=len)
    item = sorted(items, key=len)[len(items) // 2]
    full = max(budget // len(longest), 1)
    # Rows of different length: a batch without padding would do without a mask.
    large = walk(model, uneven(longest, full), speed)
    small = walk_few(model, uneven(item, 2))
    return StepCosts(
        model.width,
        feature_width,
        budget,
        size_of([*model.parameters(), *model.buffers()]),
        size_of(learning(model)),
        large,
        small,
        speed,
    )


def _longest(lengths: Sequence[int], count: int) -> list[int]:
    return sorted(lengths)[-count:]
