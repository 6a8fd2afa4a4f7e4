"""Items and histories as prompts, and what a vision-language model makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.content_change import ContentChange
from vlmrec.core.dropout import stream_of
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.models.branches import Branches
from vlmrec.vlm.gradient_cache import encode_in_chunks
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.prompts import ImagePart, Part, PictureSource, Prompt, SpecialPart, TextPart
from vlmrec.vlm.visual_features import VisualFeatures

Side = Literal["item", "history"]
T = TypeVar("T")
_AT_A_TIME = 256  # prompts encoded together where no gradient is wanted
_REMEMBERED = 100_000
"""Prompts whose vectors are kept; of 896 float32 each they take 340 MiB."""


@dataclass(frozen=True)
class ReadingOptions:
    """How items and histories become prompts.

    Attributes:
        names: Branches, one prompt each: "text", "image", or "both" in one prompt.
        item_prefix: Words in front of an item.
        history_prefix: Words in front of a history.
        max_words: Longest text of an item.
        normalize: Whether each branch's vector has length 1 before branches are added.
        chunk: Prompts held in memory at a time (gradient cache).
        text_prefix: Words between an item's picture and its text.
        token: Special token at the end of an item's prompt, whose state is the item's vector.
    """

    names: tuple[str, ...]
    item_prefix: str
    history_prefix: str
    max_words: int
    normalize: bool
    chunk: int
    text_prefix: str = ""
    token: str | None = None


@dataclass(frozen=True, eq=False)
class CatalogReader:
    """Reads the items of a catalogue, alone or as a history.

    Attributes:
        vlm: What reads.
        options: How.
        texts: By internal id, "" where an item has none; [0] is padding.
        pictures: By internal id, None where an item has no readable one.
        seen: Features to use in place of what the vision tower makes of pictures, or None.
        memory: Vectors of prompts that were read before by a model that no longer changes;
            None remembers nothing.
    """

    vlm: VisionLanguageModel
    options: ReadingOptions
    texts: Sequence[str]
    pictures: Sequence[PictureSource | None]
    seen: Mapping[PictureSource, VisualFeatures] | None = None
    memory: dict[Prompt, Tensor] | None = None

    @classmethod
    def over(
        cls,
        vlm: VisionLanguageModel,
        options: ReadingOptions,
        texts: Sequence[str],
        pictures: Sequence[PictureSource | None],
    ) -> "CatalogReader":
        """Returns a reader that knows which pictures can be read, because it has seen them all.

        Args:
            vlm: What reads.
            options: How.
            texts: By internal id.
            pictures: By internal id.
        """
        if options.names == ("text",):
            return cls(vlm, options, texts, [None] * len(texts))
        readable = set(_features(vlm, [one for one in pictures if one is not None], keep=False))
        kept = [one if one in readable else None for one in pictures]
        return cls(vlm, options, texts, kept)

    @property
    def n_items(self) -> int:
        """Number of items I."""
        return len(self.texts) - 1

    def items(self, ids: Tensor) -> Branches:
        """Returns the branches of internal ids ``[n]``."""
        return self._read(_items(ids))

    def histories(self, items: Tensor) -> Branches:
        """Returns the branches of histories ``[B, T]``, padded with 0."""
        return self._read(_histories(items))

    def pairs(self, histories: Tensor, ids: Tensor) -> tuple[Branches, Branches]:
        """Returns the branches of histories ``[B, T]`` and of internal ids ``[n]``.

        They are read together, so that the vision tower sees a picture of both once.
        """
        names, n = self.options.names, len(histories)
        vectors = self._read(_histories(histories) + _items(ids)).vectors
        return Branches(names, vectors[:n]), Branches(names, vectors[n:])

    def everything(self) -> Branches:
        """Returns the branches of all items and of padding ``[I + 1, P, D]``, without gradients."""
        padding = torch.zeros(1, len(self.options.names), self.vlm.width, device=self.vlm.device)
        return Branches(self.options.names, torch.cat([padding, self.beyond(0).vectors]))

    @torch.no_grad()
    def beyond(self, known: int) -> Branches:
        """Returns the branches of all items but the first, without gradients.

        Args:
            known: How many are left out.
        """
        parts = [
            self.items(torch.arange(start, min(start + _AT_A_TIME, self.n_items + 1))).vectors
            for start in range(known + 1, self.n_items + 1, _AT_A_TIME)
        ]
        none = torch.zeros(0, len(self.options.names), self.vlm.width, device=self.vlm.device)
        return Branches(self.options.names, torch.cat([none, *parts]))

    def with_items(
        self, texts: Sequence[str], pictures: Sequence[PictureSource | None]
    ) -> "CatalogReader":
        """Returns a reader that knows more items, behind those it knows."""
        more = CatalogReader.over(self.vlm, self.options, texts, pictures)
        return replace(
            self, texts=[*self.texts, *more.texts], pictures=[*self.pictures, *more.pictures]
        )

    def with_catalog(
        self, catalog: Catalog, text_fields: Sequence[str]
    ) -> tuple["CatalogReader", Branches]:
        """Returns a reader that also knows the items of a catalogue, and their branches.

        Args:
            catalog: New items, behind those that are known.
            text_fields: Columns that make up an item's words, as far as there are any.
        """
        fields = [name for name in text_fields if name in catalog.table.columns]
        texts = catalog.texts(fields) if fields else [""] * len(catalog)
        grown = self.with_items(texts, catalog.image_paths())
        return grown, grown.beyond(self.n_items)

    def changed(self, changes: Mapping[str, ContentChange]) -> "CatalogReader":
        """Returns a reader of other content; see `vlmrec.core.protocols.Multimodal`.

        A branch of which no item has anything left is taken out.
        """
        texts, pictures, seen = list(self.texts), list(self.pictures), self.seen
        if (change := changes.get("text")) is not None:
            texts = _noisy_words(_dealt(texts, change, ""), change)
        if (change := changes.get("image")) is not None:
            pictures = _dealt(pictures, change, None)
            if change.noise:
                seen = _noisy_features(self.vlm, pictures, change)
        gone = {"text": not any(texts), "image": not any(pictures)}
        names = tuple(name for name in self.options.names if not gone.get(name, False))
        options = replace(self.options, names=names or self.options.names)
        memory = self.memory if seen is self.seen else None  # features are not in the prompt
        return CatalogReader(self.vlm, options, texts, pictures, seen, memory)

    def _read(self, rows: list[tuple[Side, list[int]]]) -> Branches:
        vectors = [
            self._encode([self._prompt(name, side, row) for side, row in rows])
            for name in self.options.names
        ]
        return Branches(self.options.names, torch.stack(vectors, dim=1))

    def _encode(self, prompts: list[Prompt | None]) -> Tensor:
        """Returns ``[n, D]``, zero rows for what has no prompt."""
        there = [row for row, prompt in enumerate(prompts) if prompt is not None]
        blank = torch.zeros(len(prompts), self.vlm.width, device=self.vlm.device)
        if not there:
            return blank

        vectors = self._vectors([prompt for prompt in prompts if prompt is not None])
        if self.options.normalize:
            vectors = F.normalize(vectors, dim=-1)
        return blank.index_copy(0, torch.tensor(there, device=blank.device), vectors)

    def _vectors(self, prompts: list[Prompt]) -> Tensor:
        def encode(part: Sequence[Prompt]) -> Tensor:
            return self.vlm.encode(part, seen=self.seen)

        if self.memory is None or torch.is_grad_enabled():
            size = self.options.chunk if torch.is_grad_enabled() else _AT_A_TIME
            return encode_in_chunks(encode, prompts, size, dropout=stream_of(self.vlm))
        known = ((prompt, self.memory.get(prompt)) for prompt in prompts)
        found = {prompt: vector for prompt, vector in known if vector is not None}
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in found]
        if new:
            read = dict(zip(new, encode(new), strict=True))
            if len(self.memory) + len(new) > _REMEMBERED:
                self.memory.clear()
            self.memory.update(read)
            found |= read
        return torch.stack([found[prompt] for prompt in prompts])

    def _prompt(self, name: str, side: Side, row: Sequence[int]) -> Prompt | None:
        """Returns the prompt of one branch, None where there is nothing to read."""
        body: list[Part] = []
        for place, number in enumerate(row, 1):
            picture, text = self.pictures[number], self._text(number)
            if name != "text" and picture is not None:
                body.append(ImagePart(picture))
            if name != "image" and text:
                before = f"{place}. " if side == "history" else self.options.text_prefix
                body.append(TextPart(f"{before}{text} " if side == "history" else before + text))
        if not body:
            return None
        prefix = self.options.item_prefix if side == "item" else self.options.history_prefix
        opening = [TextPart(f"{prefix} ")] if prefix else []
        token = self.options.token if side == "item" else None
        return (*opening, *body, *([] if token is None else [SpecialPart(token)]))

    def _text(self, number: int) -> str:
        return " ".join(self.texts[number].split()[: self.options.max_words])


def _items(ids: Tensor) -> list[tuple[Side, list[int]]]:
    return [("item", [number]) for number in ids.tolist()]


def _histories(items: Tensor) -> list[tuple[Side, list[int]]]:
    rows = ([number for number in row if number != PADDING_ID] for row in items.tolist())
    return [("history", row) for row in rows]


def _features(
    vlm: VisionLanguageModel, sources: Sequence[PictureSource], *, keep: bool
) -> dict[PictureSource, VisualFeatures | None]:
    """Returns what the tower makes of the readable pictures, or only which they are."""
    found: dict[PictureSource, VisualFeatures | None] = {}
    distinct = list(dict.fromkeys(sources))
    with torch.no_grad():
        for start in range(0, len(distinct), _AT_A_TIME):
            part = distinct[start : start + _AT_A_TIME]
            for source, features in zip(part, vlm.image_features(part), strict=True):
                if features is not None:
                    found[source] = features if keep else None
    return found


def _dealt(values: list[T], change: ContentChange, none: T) -> list[T]:
    """Returns the value of the item that each item shows."""
    if change.shown is None:
        return values
    return [none if number == PADDING_ID else values[number] for number in change.shown.tolist()]


def _noisy_words(texts: list[str], change: ContentChange) -> list[str]:
    """Returns texts in which each word may be another word of the catalogue."""
    if not change.noise:
        return texts
    rng = Streams(change.seed).numpy("noisy words")
    every = [word for text in texts for word in text.split()]
    noisy: list[str] = []
    for text in texts:
        words = text.split()
        for place in (rng.random(len(words)) < change.noise).nonzero()[0]:
            words[place] = every[int(rng.integers(len(every)))]
        noisy.append(" ".join(words))
    return noisy


def _noisy_features(
    vlm: VisionLanguageModel, pictures: list[PictureSource | None], change: ContentChange
) -> dict[PictureSource, VisualFeatures]:
    """Returns the features of all pictures with noise of their own spread mixed in."""
    sources = [one for one in pictures if one is not None]
    found = {
        source: features
        for source, features in _features(vlm, sources, keep=True).items()
        if features is not None
    }
    if not found:
        return {}
    every = torch.cat([features.values.float().cpu() for features in found.values()])
    mean, spread = every.mean(dim=0), every.std(dim=0, unbiased=False)
    generator = Streams(change.seed).torch("noisy pictures")
    noisy: dict[PictureSource, VisualFeatures] = {}
    for source, features in found.items():
        values = features.values.float().cpu()
        fresh = torch.randn(values.shape, generator=generator) * spread
        mixed = mean + (1 - change.noise) ** 0.5 * (values - mean) + change.noise**0.5 * fresh
        noisy[source] = VisualFeatures(mixed.to(features.values), features.shape)
    return noisy
