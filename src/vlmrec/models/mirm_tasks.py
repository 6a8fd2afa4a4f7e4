"""The three fine-tuning sets of Molar's item model, made from the user's own dataset.

Molar (2412.18176), Section 3.2: image-text, structured attributes, user behaviour. What is
learned from is the training histories and the content of items that training may know; no
validation or test row is ever looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.columns import DESCRIPTION, TITLE
from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.sequences import Histories, IntArray
from vlmrec.models import mirm_templates as templates
from vlmrec.models.mirm_attributes import Attributes, attribute_columns, attributes_of
from vlmrec.vlm.prompts import PictureSource, Prompt

Inputs = Literal["both", "text", "image"]
TASKS = ("image_text", "attributes", "behaviour")
"""Names of the tasks, as in `MirmTasks`."""


class TaskOptions(StrictConfig):
    """One fine-tuning task."""

    n_examples: int = Field(default=10_000, ge=1)
    """Most examples; a small dataset has fewer."""
    weight: float = Field(default=1.0, gt=0)
    """Weight of the task's loss."""


class MirmTasks(StrictConfig):
    """Which tasks the item model is fine-tuned on, and how they are worded."""

    image_text: TaskOptions | None = TaskOptions()
    """Picture -> description; null turns it off. It needs pictures among the inputs."""
    attributes: TaskOptions | None = TaskOptions()
    """Title and attributes -> description composed from them; null turns it off. It needs words
    among the inputs."""
    behaviour: TaskOptions | None = TaskOptions()
    """History -> title of the next item; null turns it off."""
    attribute_columns: tuple[str, ...] | None = None
    """Columns that are attributes; null = every column that describes items in few words, see
    `vlmrec.models.mirm_attributes.attribute_columns`."""
    description_words: int = Field(default=64, ge=1)
    """Longest description that is to be learned."""
    history: int = Field(default=5, ge=1)
    """Items of a history that the next title is told from."""
    item_words: int = Field(default=20, ge=1)
    """Longest text (title and description) of an item in a history."""


@dataclass(frozen=True)
class Example:
    """One question with its answer.

    Attributes:
        task: "image_text", "attributes" or "behaviour".
        item: Internal id of the item that the answer is about.
        prompt: What is asked.
        answer: What is to be said.
        shown: Internal ids of the items that the prompt shows, oldest first.
    """

    task: str
    item: int
    prompt: Prompt
    answer: str
    shown: tuple[int, ...]


def make_examples(
    catalog: Catalog,
    histories: Histories,
    training_items: IntArray,
    pictures: Sequence[PictureSource | None],
    *,
    inputs: Inputs,
    options: MirmTasks,
    streams: Streams,
) -> dict[str, list[Example]]:
    """Returns the examples of every task that is switched on, by its name.

    A task that the inputs rule out, or that the data has nothing for, has an empty list:
    ``image_text`` needs pictures (items with a picture and a description), ``attributes`` words
    (items with at least one attribute). In a catalogue without any description, ``image_text``
    answers with the paragraph that ``attributes`` composes from title and attributes.

    Args:
        catalog: Words of all items.
        histories: Training histories; every event in them may be a target but the first of each.
        training_items: ``[P] int64`` internal ids that training may know; others appear in no
            example, neither as a target nor within a history.
        pictures: By internal id, None where an item has no readable one; [0] is padding.
        inputs: Which modalities prompts show; answers are words in any case.
        options: Tasks, sizes and lengths.
        streams: Which examples are drawn where there are more than `n_examples`.

    Raises:
        ConfigError: Every task is switched off, or an attribute is not a column.
        DataError: No task finds an example.
    """
    chosen = {name: size for name in TASKS if (size := getattr(options, name)) is not None}
    if not chosen:
        raise ConfigError(
            "All three fine-tuning tasks are switched off.", f"Leave one of {', '.join(TASKS)} on."
        )
    source = _Source(catalog, histories, training_items, pictures, inputs, options)
    makers = {
        "image_text": source.image_text,
        "attributes": source.attributes,
        "behaviour": source.behaviour,
    }
    made = {
        name: makers[name](size.n_examples, streams.numpy("fine-tuning examples", name))
        for name, size in chosen.items()
    }
    if not any(made.values()):
        raise DataError(
            f"No fine-tuning example could be made for {', '.join(chosen)} with inputs={inputs}: "
            "they need descriptions and pictures, attributes, or histories of titled items.",
            "Add what is missing to the items table, or switch other tasks or inputs on.",
        )
    return made


@dataclass(frozen=True, eq=False)
class _Source:
    """What examples are made from."""

    catalog: Catalog
    histories: Histories
    training_items: IntArray
    pictures: Sequence[PictureSource | None]
    inputs: Inputs
    options: MirmTasks

    def image_text(self, most: int, rng: np.random.Generator) -> list[Example]:
        """Returns picture -> description."""
        if self.inputs == "text":
            return []
        pairs = list(zip(self.pictures, self.described, strict=True))
        fine = [item for item in self.training_items if pairs[item][0] and pairs[item][1]]
        drawn = [(item, *pairs[item]) for item in _drawn(np.array(fine, np.int64), most, rng)]
        return [
            Example(
                "image_text", int(item), templates.picture_prompt(picture), answer, (int(item),)
            )
            for item, picture, answer in drawn
            if picture is not None
        ]

    def attributes(self, most: int, rng: np.random.Generator) -> list[Example]:
        """Returns title and attributes -> paragraph."""
        if self.inputs == "image":
            return []
        fine = [item for item in self.training_items if self.known[item]]
        return [
            Example(
                "attributes",
                int(item),
                templates.attributes_prompt(self.titles[item], self.known[item]),
                templates.description_from(self.titles[item], self.known[item]),
                (int(item),),
            )
            for item in _drawn(np.array(fine, dtype=np.int64), most, rng)
        ]

    def behaviour(self, most: int, rng: np.random.Generator) -> list[Example]:
        """Returns history -> next title."""
        n = len(self.catalog) + 1
        allowed = np.zeros(n, dtype=bool)
        allowed[self.training_items] = True
        shown = allowed & np.array([bool(one[0] or one[1]) for one in self.shown])
        titled = allowed & np.array([bool(title) for title in self.titles])
        items = self.histories.flat()
        rows = self.histories.row_of_events()
        begin = (np.cumsum(self.histories.lengths) - self.histories.lengths)[rows]
        place = np.arange(len(items))
        start = np.maximum(begin, place - self.options.history)
        before = np.concatenate([[0], np.cumsum(shown[items])])  # shown events before event e
        usable = titled[items] & (before[place] > before[start])
        found: list[Example] = []
        for target in _drawn(np.flatnonzero(usable), most, rng):
            past = tuple(int(item) for item in items[start[target] : target] if shown[item])
            prompt = templates.history_prompt([self.shown[item] for item in past])
            title = self.titles[items[target]]
            found.append(Example("behaviour", int(items[target]), prompt, title, past))
        return found

    @cached_property
    def titles(self) -> list[str]:
        """By internal id, "" where an item has none."""
        return self._words(TITLE)

    @cached_property
    def descriptions(self) -> list[str]:
        """By internal id, "" where an item has none."""
        return self._words(DESCRIPTION)

    @cached_property
    def described(self) -> list[str]:
        """By internal id: the description that a picture is answered with, cut to length."""
        texts = self.descriptions
        if not any(texts):
            pairs = zip(self.titles, self.known, strict=True)
            texts = [templates.description_from(title, known) for title, known in pairs]
        return [templates.first_words(text, self.options.description_words) for text in texts]

    @cached_property
    def known(self) -> list[Attributes]:
        """By internal id: the attributes."""
        table = self.catalog.table
        columns = attribute_columns(table, self.options.attribute_columns)
        return [{}, *attributes_of(table, columns)]

    @cached_property
    def shown(self) -> list[tuple[str, PictureSource | None]]:
        """By internal id: words and picture in a history."""
        words = [""] * len(self.titles)
        if self.inputs != "image":
            pairs = zip(self.titles, self.descriptions, strict=True)
            most = self.options.item_words
            words = [templates.words_in_history(*pair, most) for pair in pairs]
        unseen = self.inputs == "text"
        return list(zip(words, [None] * len(words) if unseen else self.pictures, strict=True))

    def _words(self, column: str) -> list[str]:
        return ["", *(" ".join((text or "").split()) for text in self.catalog.table[column])]


def _drawn(candidates: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns at most `most` different candidates, in their own order."""
    if len(candidates) <= most:
        return candidates
    return candidates[np.sort(rng.choice(len(candidates), size=most, replace=False))]
