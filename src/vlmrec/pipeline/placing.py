"""Where a model places items that it did not learn from, and what that takes."""

import copy
import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.growing import GrowingTable
from vlmrec.data.catalog import Catalog
from vlmrec.data.sequences import IntArray
from vlmrec.evaluation.lifting import KnownLists
from vlmrec.items.cache import VectorCache
from vlmrec.items.content_tower import RawContent
from vlmrec.items.neighbours import Neighbours
from vlmrec.models.sequence_ranker import TableRanker
from vlmrec.pipeline.content import gather_content, raw
from vlmrec.pipeline.encoders import Encoders
from vlmrec.pipeline.new_items import NewItems, histories_for
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.vector_sources import require_encoders


class Placed(NamedTuple):
    """Items that training did not see.

    Attributes:
        own: ``[n, D]`` what the model makes of their content; zero where there is none.
        leaning: ``[n, D]`` the same, leaning on known items that are like them.
        content: Their frozen vectors ``[n, W]``, by modality.
    """

    own: torch.Tensor
    leaning: torch.Tensor
    content: Mapping[str, RawContent]


class Placing:
    """What every item that is placed needs of a model: found once, kept for the next.

    Of one model, with ever more items. Items are added by one thread at a time; `vectors` may be
    asked by others meanwhile.

    Args:
        encoders: Those that are loaded already.
    """

    def __init__(self, encoders: Encoders | None = None) -> None:
        self.encoders = encoders or Encoders()
        self.table = GrowingTable()
        self._neighbours: dict[str, Neighbours | None] = {}
        self._looking = threading.Lock()
        self._lists: dict[int, KnownLists] = {}

    def aside(self) -> "Placing":
        """Returns one for items that nobody keeps: it shares all but the table.

        The latest table stays the latest, so that the next item that is kept copies nothing.
        """
        one = copy.copy(self)
        one.table = GrowingTable()
        return one

    def placed(
        self, run: Run, catalog: Catalog, cache: VectorCache | None, options: NewItems
    ) -> Placed:
        """Returns where the model places n items that it knows by frozen content.

        Raises:
            ConfigError: The model cannot place items by their content.
            ArtifactError: The encoder is not the one that the run was trained with.
        """
        content = _content(run, catalog, cache, self.encoders)
        return Placed(*self.vectors(run, content, run.item_vectors, options), content)

    def vectors(
        self,
        run: Run,
        content: Mapping[str, RawContent],
        known_vectors: torch.Tensor | None,
        options: NewItems,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns vectors ``[n, D]`` of items that training did not see, see `Placed`.

        Args:
            run: Holds the model.
            content: Their frozen vectors ``[n, W]``, by modality.
            known_vectors: ``[I + 1, D]`` or more, of the items they may lean on.
            options: How they lean.

        Raises:
            ConfigError: The model cannot place items by their content.
        """
        own = run.model.content_vectors(content)
        if own is None:
            raise ConfigError(f"The model '{run.spec.name}' cannot place new items.")
        leaning = own
        if known_vectors is not None:
            n_train = _trained_events(run)
            by = options.neighbours_by
            with self._looking:
                if by not in self._neighbours:
                    self._neighbours[by] = options.around(run.model, n_train)
            around = self._neighbours[by]
            if around is not None:
                known = known_vectors[: len(n_train)]
                leaning = options.vectors(run.model, own, content, known, n_train, around)
        lost = ~torch.stack([one.present for one in content.values()]).any(dim=0)[:, None]
        return own.masked_fill(lost, 0.0), leaning.masked_fill(lost, 0.0)

    def offset(self, run: Run, own: torch.Tensor, options: NewItems) -> float | None:
        """Returns what the scores of added items are lifted by; None where it cannot say.

        Lists of known items are made once. Known items that are changed later leave them as
        they are: a few among all of a catalogue move no offset.

        Args:
            run: With the items added.
            own: ``[n, D]`` what the model makes of the content of the latest of them.
            options: How new items get into lists.
        """
        n_train, vectors = _trained_events(run), run.item_vectors
        if vectors is None or not n_train.any():
            return None
        n_known = len(n_train) - 1
        if n_known not in self._lists:
            ranker = run.model.ranker(vectors[: n_known + 1])
            if not isinstance(ranker, TableRanker):
                return None  # its queries may depend on the items that are scored
            self._lists[n_known] = KnownLists(ranker, histories_for(n_train), n_known)
        added = torch.cat([vectors[:1], vectors[n_known + 1 :]])
        as_they_are = torch.cat([added[: len(added) - len(own)], own])
        share = (len(added) - 1) / (len(vectors) - 1)
        new, alone = run.model.ranker(added), run.model.ranker(as_they_are)
        return options.offset_in(self._lists[n_known], new, alone, share)


def _trained_events(run: Run) -> IntArray:
    """Returns ``[I + 1]`` events of each item that was there in training."""
    n = run.info["shape"]["n_items"]
    return np.concatenate([[0], run.items["n_train"].to_numpy()[:n]])


def _content(
    run: Run, catalog: Catalog, cache: VectorCache | None, encoders: Encoders
) -> dict[str, RawContent]:
    """Returns the frozen vectors ``[n, W]`` of items, by modality."""
    require_encoders(run.info["content"])
    names = catalog.table[ITEM_ID].to_list()
    content = {}
    for modality, source in run.spec.content().items():
        record = run.info["content"][modality]
        fields = [name for name in run.info["text_fields"] if name in catalog.table.columns]
        has = any(catalog.texts(fields)) if modality == "text" else any(catalog.image_paths())
        if not has:
            n = len(names) + 1
            empty = torch.zeros(n, dtype=torch.bool)
            content[modality] = RawContent(torch.zeros(n, record["width"]), empty)
            continue
        found = gather_content(
            {modality: source},
            catalog,
            names,
            cache=cache or VectorCache(),
            text_fields=fields,
            encoders=encoders,
        )
        if found[modality].identity != record["identity"]:
            raise ArtifactError(
                f"The {modality} encoder '{source}' is not the one the run was trained with: "
                "its weights or settings differ.",
                "Use the same version of the encoder.",
            )
        content.update(raw(found))
    return {name: one.rows(slice(1, None)) for name, one in content.items()}
