"""Frozen content of items that came or changed after training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vlmrec.items.content_tower import RawContent

_ITEMS = "items"


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

    def to_tensors(self) -> dict[str, Tensor]:
        """Returns what a run folder keeps; empty where no item came or changed."""
        if not self.items:
            return {}
        ids = list(self.items)
        tensors = {_ITEMS: torch.tensor(ids)}
        for name, one in self.among(ids, None).items():
            tensors |= {f"{name}.vectors": one.vectors, f"{name}.present": one.present}
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "LateContent":
        """Returns what `to_tensors` was asked of."""
        if not tensors:
            return cls()
        names = [key.removesuffix(".present") for key in tensors if key.endswith(".present")]
        content = {
            name: RawContent(tensors[f"{name}.vectors"], tensors[f"{name}.present"])
            for name in names
        }
        return cls().with_items(tensors[_ITEMS].tolist(), content)

    def _row(self, item: int, name: str, known: Mapping[str, RawContent] | None) -> RawContent:
        if item in self.items or known is None:
            return self.items[item][name]
        return known[name].rows(slice(item, item + 1))
