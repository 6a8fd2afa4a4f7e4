"""Frozen content of items that came or changed after training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from vlmrec.items.content_tower import RawContent


@dataclass(frozen=True, eq=False)
class LateContent:
    """Content that the model itself does not hold.

    Attributes:
        items: Internal id -> modality -> one row ``[1, W]``.
    """

    items: Mapping[int, Mapping[str, RawContent]] = field(default_factory=dict)

    def with_items(self, ids: Iterable[int], content: Mapping[str, RawContent]) -> "LateContent":
        """Returns this with n items as they are now.

        Args:
            ids: Internal ids.
            content: ``[n, W]`` by modality.
        """
        given = {
            int(item): {name: one.rows(slice(row, row + 1)) for name, one in content.items()}
            for row, item in enumerate(ids)
        }
        return LateContent({**self.items, **given})

    def among(
        self, ids: Sequence[int], known: Mapping[str, RawContent] | None
    ) -> dict[str, RawContent]:
        """Returns the content ``[n, W]`` of one item or more, by modality.

        Args:
            ids: Internal ids, each of them here or known.
            known: ``[I + 1, W]`` of the items that the model was made with; None where all are
                here.
        """
        names = list(known or self.items[ids[0]])
        rows = {name: [self._row(item, name, known) for item in ids] for name in names}
        return {
            name: RawContent(
                torch.cat([one.vectors for one in found]), torch.cat([one.present for one in found])
            )
            for name, found in rows.items()
        }

    def _row(self, item: int, name: str, known: Mapping[str, RawContent] | None) -> RawContent:
        if item in self.items or known is None:
            return self.items[item][name]
        return known[name].rows(slice(item, item + 1))
