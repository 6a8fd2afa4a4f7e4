"""Molar's post-alignment at work: content vectors are drawn towards those of an ID teacher."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.models.id_teacher import IdTeacher
from vlmrec.models.spec import TrainingData
from vlmrec.models.stored import require_same_split

if TYPE_CHECKING:
    from vlmrec.models.molar import Alignment


class PostAlignment(nn.Module):
    """The teacher, the ways to its vectors, and the loss; needed in training only.

    Args:
        spec: Hyper-parameters.
        width: Of content vectors.
        streams: Where random numbers come from.
    """

    def __init__(self, spec: "Alignment", width: int, streams: Streams) -> None:
        super().__init__()
        self.spec = spec
        self._teacher = IdTeacher.load("alignment.teacher", spec.teacher, joint=spec.joint)
        if spec.joint:
            self.teacher = self._teacher.model  # among the weights that learn
        generator = streams.torch("to teacher")
        self.user_way = _way(width, self._teacher.width, generator)
        self.item_way = _way(width, self._teacher.width, generator) if spec.items else None

    def require_batches(self, n_negatives: int, max_len: int) -> None:
        """Raises ConfigError where a joint teacher needs other batches than there are."""
        self._teacher.require_batches(n_negatives, max_len)

    def prepare(self, training: TrainingData, device: torch.device) -> None:
        """Refuses a teacher that was trained on other rows, and moves it to the device."""
        stored = self._teacher.stored
        require_same_split("alignment.teacher", self.spec.teacher, stored, training.fingerprint)
        if self.spec.joint:
            self._teacher.model.restrict(training.training_items)
        self._teacher.to(device)

    def forward(
        self, states: Tensor, goal_vectors: Tensor, goals: Tensor, batch: TrainingBatch
    ) -> dict[str, tuple[float, Tensor]]:
        """Returns the parts of the loss: name -> weight, and mean over the batch.

        Args:
            states: ``[B, T, D]``; the one behind a row's last item is its user's vector.
            goal_vectors: ``[M, D]`` vectors of the M targets.
            goals: ``[M] int64`` the targets.
            batch: What the states were made from.
        """
        spec, teacher = self.spec, self._teacher
        rows = torch.arange(len(states), device=states.device)
        last = (batch.items != PADDING_ID).sum(dim=1) - 1  # [B]
        content, targets = states[rows, last], batch.targets[rows, last]
        users = spec(self.user_way(content), teacher.users(batch), targets, batch.users)
        parts = {"alignment": (spec.weight, users.total / users.count)}
        if self.item_way is not None:
            distinct, first = _first_of_each(goals)
            ours = self.item_way(goal_vectors[first])
            items = spec(ours, teacher.items(distinct), distinct)
            parts["item alignment"] = (spec.items, items.total / items.count)
        if spec.joint:
            own = teacher.model.training_loss(batch)
            parts["teacher loss"] = (1.0, own.total / max(own.count, 1))
        return parts


def _way(ours: int, theirs: int, generator: torch.Generator) -> nn.Module:
    """Returns a linear map between the widths, nothing where they are the same."""
    if ours == theirs:
        return nn.Identity()
    way = nn.Linear(ours, theirs, bias=False)
    nn.init.normal_(way.weight, std=ours**-0.5, generator=generator)
    return way


def _first_of_each(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the distinct values of ``[M]`` and the first place of each."""
    distinct, place = ids.unique(return_inverse=True)
    first = torch.full_like(distinct, len(ids))
    order = torch.arange(len(ids), device=ids.device)
    return distinct, first.scatter_reduce(0, place, order, reduce="amin")
