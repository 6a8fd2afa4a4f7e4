"""Items as a model over frozen content places them where words, pictures or both are absent."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.protocols import Multimodal
from vlmrec.items.content_tower import RawContent
from vlmrec.pipeline.new_items import NewItems
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import Run, vectors_of


class View:
    """Vectors of items that show only some of their content, also of those that came later.

    What is found of an item is kept until its content is another.

    Args:
        run: Of a model that makes item vectors from frozen content.
        absent: Modalities that no item shows.
    """

    def __init__(self, run: Run, absent: Collection[str]) -> None:
        model, self._n_trained = run.model, run.info["shape"]["n_items"]
        gone = ContentChange.absent(self._n_trained)
        trained = (
            vectors_of(model.ranker_with(dict.fromkeys(absent, gone)))
            if isinstance(model, Multimodal)
            else None
        )
        if trained is None:
            raise ValueError(f"'{run.spec.name}' cannot show its items without {list(absent)}.")
        self._absent, self._trained = frozenset(absent), trained
        self._late: dict[int, tuple[Mapping[str, RawContent], Tensor]] = {}

    def rows(self, run: Run, ids: Sequence[int], placing: Placing) -> Tensor:
        """Returns ``[n, D]`` vectors; zero of items of which nothing is left or known.

        Args:
            run: The same model, with the items that it knows now.
            ids: Internal ids.
            placing: What was found of the model when items were added.
        """
        self._find([item for item in ids if item in run.late.items], run, placing)
        blank = torch.zeros_like(self._trained[0])
        return torch.stack(
            [
                self._late[item][1]
                if item in run.late.items
                else self._trained[item]
                if item <= self._n_trained
                else blank
                for item in ids
            ]
        )

    def table(self, run: Run, placing: Placing) -> Tensor:
        """Returns ``[I + 1, D]`` vectors of all items; the arguments are those of `rows`."""
        added = range(self._n_trained + 1, run.items.height + 1)
        changed = [item for item in run.late.items if item <= self._n_trained]
        parts = [self._trained.clone() if changed else self._trained]
        if changed:
            parts[0][changed] = self.rows(run, changed, placing)
        if added:
            parts.append(self.rows(run, added, placing))
        return torch.cat(parts)

    def readable(self, run: Run) -> Tensor:
        """Returns ``[I + 1] bool``: of which items anything is left."""
        left = torch.zeros(run.items.height + 1, dtype=torch.bool)
        left[: self._n_trained + 1] = self._trained.any(dim=1)
        for item, content in run.late.items.items():
            shown = self._shown(content).values()
            left[item] = any(bool(one.present) for one in shown)
        return left

    @torch.no_grad()
    def _find(self, ids: Sequence[int], run: Run, placing: Placing) -> None:
        late = run.late.items
        new = [item for item in ids if self._late.get(item, (None,))[0] is not late[item]]
        changed = [item for item in new if item <= self._n_trained]
        added = [item for item in new if item > self._n_trained]
        if added:
            found = placing.vectors(
                run, self._shown(run.late.among(added, None)), self._trained, NewItems()
            )[1]
            self._late |= {i: (late[i], row) for i, row in zip(added, found, strict=True)}
        known = run.model.known_content()
        if changed and known is not None:
            there = torch.tensor(changed)
            now = run.model.content_vectors(self._shown(run.late.among(changed, None)))
            before = run.model.content_vectors(
                self._shown({name: one.rows(there) for name, one in known.items()})
            )
            assert now is not None  # noqa: S101 - it has content
            assert before is not None  # noqa: S101 - as above
            found = self._trained[there] + now - before
            self._late |= {i: (late[i], row) for i, row in zip(changed, found, strict=True)}

    def _shown(self, content: Mapping[str, RawContent]) -> dict[str, RawContent]:
        return {
            name: RawContent(one.vectors, torch.zeros_like(one.present))
            if name in self._absent
            else one
            for name, one in content.items()
        }
