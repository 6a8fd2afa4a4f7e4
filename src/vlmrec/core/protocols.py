"""What the rooms promise each other; training and evaluation see these, never a model class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange


@dataclass(frozen=True)
class Twins:
    """For each row of a batch, another history after which the same item came.

    Attributes:
        places: ``[B] int64`` position of the row whose target it is.
        items: ``[B, S] int64`` the other history, right-padded; where no other has that target,
            it is the row's own up to that position.
    """

    places: Tensor
    items: Tensor

    def to(self, device: torch.device) -> "Twins":
        """Returns the same on `device`."""
        return Twins(self.places.to(device), self.items.to(device))

    def rows(self, first: int, last: int) -> "Twins":
        """Returns those of the rows first..last-1."""
        return Twins(self.places[first:last], self.items[first:last])


@dataclass(frozen=True)
class TrainingBatch:
    """Rows of right-padded windows; all index arrays hold internal item ids, 0 = padding.

    Attributes:
        items: ``[B, T] int64`` what the model reads.
        targets: ``[B, T] int64`` the item that follows each position, 0 where there is none.
        negatives: ``[N]`` or ``[B, T, N] int64`` sampled negatives, or None.
        users: ``[B] int64`` internal user ids.
        progress: Share of the planned training that came before this batch, 0 to 1.
        twins: Histories with a target in common with the rows, for models that compare them.
        usual_count: Targets of an average batch. Where rows of like length stand together, the
            loss of a batch is divided by it, not by the batch's own count: else a target among
            short histories would weigh many times as much as one among long ones. None: by its
            own.
    """

    items: Tensor
    targets: Tensor
    users: Tensor
    negatives: Tensor | None = None
    progress: float = 0.0
    twins: Twins | None = None
    usual_count: float | None = None

    def to(self, device: torch.device) -> "TrainingBatch":
        """Returns the batch with every tensor on `device`."""
        negatives = None if self.negatives is None else self.negatives.to(device)
        return TrainingBatch(
            self.items.to(device),
            self.targets.to(device),
            self.users.to(device),
            negatives,
            self.progress,
            None if self.twins is None else self.twins.to(device),
            self.usual_count,
        )


@dataclass(frozen=True)
class LossSum:
    """A loss before averaging, so that shards of one batch can be added up exactly.

    Attributes:
        total: ``[] float`` the sum over supervised positions.
        count: How many positions were summed.
    """

    total: Tensor
    count: int


@dataclass(frozen=True)
class Validation:
    """What epochs are chosen by.

    Attributes:
        name: For logs, such as "NDCG@10".
        measure: Returns it for the model as it is now; higher is better.
    """

    name: str
    measure: Callable[[], float]


class Ranker(Protocol):
    """A frozen view of a recommender in which the item side was computed once.

    The same object scores in evaluation, recommendation, index and service, so that they
    cannot disagree.
    """

    @property
    def n_items(self) -> int:
        """Number of real items I; internal ids are 1..I."""
        ...

    @property
    def max_len(self) -> int:
        """How many of the latest items of a history are used."""
        ...

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        ...

    def encode(self, histories: Tensor) -> Tensor:
        """Returns one query per history.

        Args:
            histories: ``[B, T] int64`` right-padded internal ids, T <= max_len.

        Returns:
            ``[B, ...] float`` queries; their meaning is the ranker's own.
        """
        ...

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32`` scores of the internal ids start..stop-1.

        Args:
            queries: What `encode` returned.
            start: First internal id, at least 1.
            stop: One past the last internal id, at most ``n_items + 1``.
        """
        ...


@runtime_checkable
class PersonalRanker(Ranker, Protocol):
    """A ranker that learned something of each training user besides the history."""

    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns one query per history, as ``encode``, which knows no user, does.

        Args:
            histories: ``[B, T] int64`` right-padded internal ids, T <= max_len.
            users: ``[B] int64`` internal user ids; 0 for a user that is not known.
        """
        ...


@runtime_checkable
class VectorRanker(Ranker, Protocol):
    """A ranker whose items are vectors: it can be indexed and extended by new items."""

    @property
    def item_vectors(self) -> Tensor:
        """``[I + 1, D] float32`` vectors in scoring space; row 0 is padding."""
        ...


class Trainable(Protocol):
    """What the training loop needs of a model (besides being a torch module)."""

    def training_loss(self, batch: TrainingBatch) -> LossSum:
        """Returns the summed loss over the supervised positions of a batch."""
        ...

    def ranker(self) -> Ranker:
        """Returns a frozen view for ranking, computed from the current weights."""
        ...


@runtime_checkable
class Monitored(Protocol):
    """A trainable model that measures itself on the way, such as which modality learns."""

    def take_signals(self) -> dict[str, float]:
        """Returns means over the steps since the last call, by name, and begins anew."""
        ...


@runtime_checkable
class KnownReader(Protocol):
    """A model that says what it reads of an item."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Any of "text" and "image"; empty where it knows items by their id alone."""
        ...


@runtime_checkable
class Multimodal(KnownReader, Protocol):
    """A model whose use of each modality can be taken apart."""

    def ranker_with(self, changes: Mapping[str, ContentChange]) -> Ranker:
        """Returns a frozen view in which items show other content than their own.

        Items of histories and items to rank change alike. Where all modalities but one are
        absent, the view is a `VectorRanker`.

        Args:
            changes: By modality; those not named stay as they are.
        """
        ...


@runtime_checkable
class Growing(Multimodal, Protocol):
    """A model that reads items itself: of a catalogue that grew it reads what is new alone."""

    def ranker_grown(self, changes: Mapping[str, ContentChange], known: Tensor) -> Ranker:
        """Returns the view that `ranker_with` makes, without reading all items again.

        Args:
            changes: By modality, of all items.
            known: ``[I' + 1, D]`` vectors of the same view before the items beyond I' came.
        """
        ...


class BatchSource(Protocol):
    """Builds batch s of epoch e from nothing but a seed, e and s."""

    def plan(self, epoch: int) -> Sequence[Any]:
        """Returns what each step of an epoch needs."""
        ...

    def build(self, window: Any, epoch: int, step: int) -> TrainingBatch:
        """Returns the whole batch of a step (all processes build the same)."""
        ...


class TextEncoder(Protocol):
    """Turns texts into vectors; frozen."""

    @property
    def identity(self) -> str:
        """Changes whenever the vectors could: name, weight hash, prompt, length, dtype."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns ``[n, D] float32``; the order of the texts is kept."""
        ...


class ImageEncoder(Protocol):
    """Turns picture files into vectors; frozen."""

    @property
    def identity(self) -> str:
        """Changes whenever the vectors could: name, weight hash, resolution, dtype."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        ...

    def encode_images(self, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Returns vectors and which pictures could be read.

        Returns:
            ``[n, D] float32`` (zero rows where unreadable) and ``[n] bool``.
        """
        ...


class ItemEncoder(Protocol):
    """Turns an item's text and picture into one vector; frozen."""

    @property
    def identity(self) -> str:
        """Changes whenever the vectors could: weights, prompt, length, resolution, dtype."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        ...

    @property
    def problems(self) -> Mapping[str, int]:
        """Pictures that could not be read so far, per kind."""
        ...

    @property
    def cuts(self) -> Mapping[str, int]:
        """What was left out of too long prompts so far, by kind."""
        ...

    def encode_items(
        self, texts: Sequence[str], pictures: Sequence[Path | None]
    ) -> tuple[Tensor, Tensor]:
        """Returns vectors and which items have one.

        Returns:
            ``[n, D] float32`` (zero rows where an item has neither part) and ``[n] bool``.
        """
        ...
