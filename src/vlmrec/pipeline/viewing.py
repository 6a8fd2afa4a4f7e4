"""Items as a model over frozen content places them where words, pictures or both are absent."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from vlmrec.core.content_change import ContentChange
from vlmrec.core.protocols import Multimodal
from vlmrec.items.content_tower import RawContent
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import Run, vectors_of


class View:
    """Vectors of items that show only some of their content, also of those that came later.

    What is found of an item is kept until its content is another.

    Args:
        run: Of a model that makes item vectors from frozen content.
        absent: Modalities that no item shows.

    Attributes:
        trained: ``[I + 1, D]`` vectors of the items that training knew, as it knew them.
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
        self._absent, self.trained = frozenset(absent), trained
        self._late: dict[int, tuple[Mapping[str, RawContent], Tensor]] = {}

    def rows(self, run: Run, ids: Sequence[int], placing: Placing) -> Tensor:
        """Returns ``[n, D]`` vectors; zero of items of which nothing is left or known.

        Args:
            run: The same model, with the items that it knows now.
            ids: Internal ids.
            placing: What was found of the model when items were added.
        """
        asked = torch.as_tensor(ids)
        known = torch.where(asked > self._n_trained, 0, asked)  # padding has the zero vector
        found = self.trained[known]
        late = [place for place, item in enumerate(ids) if item in run.late.items]
        if late:
            found[late] = self._of_late([ids[place] for place in late], run, placing)
        return found

    def table(self, run: Run, placing: Placing) -> Tensor:
        """Returns ``[I + 1, D]`` vectors of all items; the arguments are those of `rows`."""
        added = range(self._n_trained + 1, run.items.height + 1)
        changed = [item for item in run.late.items if item <= self._n_trained]
        parts = [self.trained.clone() if changed else self.trained]
        if changed:
            parts[0][changed] = self.rows(run, changed, placing)
        if added:
            parts.append(self.rows(run, added, placing))
        return torch.cat(parts)

    def readable(self, run: Run) -> Tensor:
        """Returns ``[I + 1] bool``: of which items anything is left."""
        left = torch.zeros(run.items.height + 1, dtype=torch.bool)
        known = run.model.known_content() or {}
        shown = [one.present for name, one in known.items() if name not in self._absent]
        # Where what is learned of an item besides is in its vector, that says nothing.
        there = torch.stack(shown).any(dim=0) if shown else self.trained.any(dim=1)
        left[: self._n_trained + 1] = there
        for item, content in run.late.items.items():
            shown = self._shown(content).values()
            left[item] = any(bool(one.present) for one in shown)
        return left

    def _of_late(self, ids: Sequence[int], run: Run, placing: Placing) -> Tensor:
        """Returns ``[n, D]`` vectors of items that came or changed after training."""
        late = run.late.items
        kept = {item: self._late.get(item) for item in ids}
        found = {item: one[1] for item, one in kept.items() if one and one[0] is late[item]}
        new = [item for item in kept if item not in found]
        added = [item for item in new if item > self._n_trained]
        if added:
            content = self._shown(run.late.among(added, None))
            _, leaning = placing.vectors(run, content, self.trained, run.new_items)
            found |= zip(added, leaning, strict=True)
        changed = [item for item in new if item <= self._n_trained]
        if changed:
            found |= zip(changed, self._moved(changed, run, placing), strict=True)
        self._late |= {item: (late[item], found[item]) for item in new}
        return torch.stack([found[item] for item in ids])

    def _moved(self, ids: Sequence[int], run: Run, placing: Placing) -> Tensor:
        """Returns ``[n, D]`` vectors of items that training knew by other content."""
        known = run.model.known_content() or {}
        there = torch.as_tensor(ids)
        before = {name: one.rows(there) for name, one in known.items()}
        old, new = (
            placing.vectors(run, self._shown(content), None, run.new_items)[0]
            for content in (before, run.late.among(ids, None))
        )
        return self.trained[there] + new - old

    def _shown(self, content: Mapping[str, RawContent]) -> dict[str, RawContent]:
        return {
            name: RawContent(one.vectors, torch.zeros_like(one.present))
            if name in self._absent
            else one
            for name, one in content.items()
        }
