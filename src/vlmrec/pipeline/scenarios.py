"""Scenarios: what is learned from and what is asked in the test, by names that recipes can use."""

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, nearest
from vlmrec.data.content_gaps import ContentGap, open_gap
from vlmrec.data.dataset import Dataset
from vlmrec.data.named_splits import SplitName, split_by
from vlmrec.data.shuffled_sessions import shuffle_sessions
from vlmrec.data.splits import Split
from vlmrec.data.transfer import transfer_split

_HEAD = 0.2
"""Share of the items, the most popular ones, that is no long tail."""
Among = Literal["as the split says", "all items"]
Targets = Literal["all", "long tail", "known items"]


class Scenario(StrictConfig):
    """One way to learn and to test."""

    name: str = Field(min_length=1)
    """Heading of its columns."""
    split: SplitName = "leave-one-out"
    """How the data are split."""
    transfer: bool = False
    """Whether all is learned from the other datasets of the table, and asked for in this one."""
    among: Among = "as the split says"
    """What test targets are ranked among: a cold-item split says among the cold items, a transfer
    among those of the other catalogue."""
    targets: Targets = "all"
    """Which test cases count: all, those whose target is not among the fifth of the items with the
    most training interactions, or (cold-item) the cases about items that training saw, which
    stand beside the test cases and are ranked among all items."""
    lifted: bool = False
    """Whether new items are placed as `add_items` places them; only among all items."""
    shuffle_sessions: bool = False
    """Whether the items of each session stand in random order, in training and in histories."""
    gap: ContentGap | None = None
    """What is wrong with the catalogue, in training and in the test."""
    gap_in_test: ContentGap | None = None
    """What is wrong with the catalogue in the test; the model learned from the intact one."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        known = self.targets == "known items"
        if (known or self.lifted) and not self.split.startswith("cold-item"):
            raise ConfigError(
                f"The scenario '{self.name}' asks for known targets or lifts new items, but its "
                f"split '{self.split}' keeps no items from training.",
                "Use 'split: cold-item'.",
            )
        if (known or self.lifted) and not self.among_all:
            raise ConfigError(
                f"The scenario '{self.name}' asks for known targets or lifts new items, which "
                "makes a difference among all items only.",
                "Add 'among: all items'.",
            )
        if self.gap_in_test is not None and self.among_all and self.has_unknown_items:
            raise ConfigError(
                f"The scenario '{self.name}' has a 'gap_in_test', which is measured among the "
                "items that training never saw, and asks for a ranking among all items.",
                "Leave one of them out.",
            )
        if self.transfer and self.split != "leave-one-out":
            raise ConfigError(
                f"The scenario '{self.name}' learns from other data and has the split "
                f"'{self.split}'.",
                "Leave out 'split': a transfer tests the last event of each user.",
            )
        return self

    @property
    def has_unknown_items(self) -> bool:
        """Whether test targets are items that training never saw."""
        return self.transfer or self.split.startswith("cold-item") or self.split == "half-catalogue"

    @property
    def among_all(self) -> bool:
        """Whether a split that restricts the candidates is overruled."""
        return self.among == "all items"

    @property
    def about_known_items(self) -> bool:
        """Whether the cases are those about items that training saw."""
        return self.targets == "known items"

    def without_test(self) -> "Scenario":
        """Returns what is learned from, the same for scenarios that differ in the test alone."""
        return Scenario(
            name="training",
            split=self.split,
            transfer=self.transfer,
            shuffle_sessions=self.shuffle_sessions,
            gap=self.gap,
        )

    def describe(self) -> str:
        """Returns the scenario in words.

        >>> SCENARIOS["test-without-pictures"].describe()
        'leave-one-out split, in the test no item has its picture'
        """
        told = ["learned from the other data" if self.transfer else f"{self.split} split"]
        if self.shuffle_sessions:
            told.append("items of each session in random order")
        if self.gap is not None:
            told.append(f"in training and test {self.gap.describe()}")
        if self.gap_in_test is not None:
            told.append(f"in the test {self.gap_in_test.describe()}")
        if self.among_all:
            told.append("ranked among all items")
        if self.targets == "long tail":
            told.append("targets outside the most popular fifth of the items")
        if self.about_known_items:
            told.append("targets that training saw")
        if self.lifted:
            told.append("new items lifted")
        return ", ".join(told)

    def split_of(self, name: str, datasets: Mapping[str, Dataset]) -> Split:
        """Returns the data of this scenario, split.

        Args:
            name: Of the dataset that is tested.
            datasets: All of the table, by name.

        Raises:
            ConfigError: The scenario needs other datasets beside this one.
            DataError: The split leaves nothing to train or to test.
        """
        if not self.transfer:
            return split_by(self._changed(datasets[name]), self.split)
        if len(datasets) < 2:
            raise ConfigError(
                f"A transfer learns from other data than it tests on, and only '{name}' is given.",
                "Give another --data, or use the scenario 'half-catalogue'.",
            )
        changed = {one: self._changed(dataset) for one, dataset in datasets.items()}
        return transfer_split(
            {one: data for one, data in changed.items() if one != name}, name, changed[name]
        )

    def _changed(self, dataset: Dataset) -> Dataset:
        if self.shuffle_sessions:
            dataset = shuffle_sessions(dataset)
        return dataset if self.gap is None else open_gap(dataset, self.gap)

    def chosen(self, cases: pl.DataFrame, split: Split) -> np.ndarray:
        """Returns ``[n] bool``: which test cases count.

        Args:
            cases: With ``item_id``, the external id of the target.
            split: Where they come from.

        Raises:
            ConfigError: None of them does.
        """
        if self.targets != "long tail":
            return np.ones(cases.height, dtype=np.bool_)
        counts = split.train.item_counts(split.dataset.n_items)
        head = np.sort(counts[1:])[-max(round(len(counts[1:]) * _HEAD), 1)]
        rare = counts[split.dataset.items.to_internal(cases[ITEM_ID])] < head
        if not rare.any():
            raise ConfigError(
                f"The scenario '{self.name}' leaves no test case: every target is among "
                "the most popular fifth of the items.",
                "Take it out of 'scenarios'.",
            )
        return rare


def _wrong(modality: Literal["text", "image"], *, share: float = 1.0) -> ContentGap:
    return ContentGap(modality=modality, kind="wrong", share=share)


def _missing(modality: Literal["text", "image"], *, share: float = 1.0) -> ContentGap:
    return ContentGap(modality=modality, share=share)


def _by_name(*scenarios: Scenario) -> Mapping[str, Scenario]:
    return {one.name: one for one in scenarios}


SCENARIOS = _by_name(
    Scenario(name="leave-one-out"),
    Scenario(name="global-time", split="global-time"),
    Scenario(name="cold-item", split="cold-item"),
    Scenario(name="cold-item-among-all", split="cold-item", among="all items"),
    Scenario(name="cold-item-by-time", split="cold-item-by-time"),
    Scenario(name="cold-item-lifted", split="cold-item", among="all items", lifted=True),
    Scenario(name="known-item", split="cold-item", among="all items", targets="known items"),
    Scenario(
        name="known-item-lifted",
        split="cold-item",
        among="all items",
        targets="known items",
        lifted=True,
    ),
    Scenario(name="cold-user", split="cold-user"),
    Scenario(name="cold-user-by-time", split="cold-user-by-time"),
    Scenario(name="half-catalogue", split="half-catalogue"),
    Scenario(name="transfer", transfer=True),
    Scenario(name="long-tail", targets="long tail"),
    Scenario(name="shuffled-sessions", shuffle_sessions=True),
    Scenario(name="half-the-pictures", gap=_missing("image", share=0.5)),
    Scenario(name="half-the-texts", gap=_missing("text", share=0.5)),
    Scenario(name="half-the-pictures-wrong", gap=_wrong("image", share=0.5)),
    Scenario(name="half-the-texts-wrong", gap=_wrong("text", share=0.5)),
    Scenario(name="test-without-pictures", gap_in_test=_missing("image")),
    Scenario(name="test-without-texts", gap_in_test=_missing("text")),
    Scenario(name="test-with-wrong-pictures", gap_in_test=_wrong("image")),
    Scenario(name="test-with-wrong-texts", gap_in_test=_wrong("text")),
)
"""Those that a recipe can name."""


def scenario_named(name: str) -> Scenario:
    """Returns the scenario of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in SCENARIOS:
        raise ConfigError(f"There is no scenario '{name}'.", nearest(name, SCENARIOS))
    return SCENARIOS[name]
