"""The ID model whose user vectors Molar's content vectors are drawn towards."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.tensors import latest
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.stored import StoredModel, load_stage

TEACHERS = ("fpmc", "gru4rec", "sasrec", "duorec")
"""Models that know items by id and have a user vector (Table 4)."""


class IdTeacher:
    """A trained ID model: frozen, or learning on with its own loss.

    It reads what the content model reads: the same window, its latest `max_len` items.

    Args:
        stored: The trained model.
        joint: Whether it goes on learning.
    """

    def __init__(self, stored: StoredModel, *, joint: bool) -> None:
        if not isinstance(stored.model, SequenceRecommender) or stored.item_vectors is None:
            raise ValueError(f"A run of '{stored.spec.name}' is no ID model.")
        self.stored = stored
        self.model = stored.model
        self.joint = joint
        self._table = stored.item_vectors

    @classmethod
    def load(cls, option: str, folder: str, *, joint: bool) -> "IdTeacher":
        """Returns the teacher of a run folder.

        Args:
            option: Which option named the folder, for messages.
            folder: The run folder.
            joint: Whether it goes on learning.

        Raises:
            ArtifactError: The folder holds no finished run, or a file is damaged.
            ConfigError: It is no run of an ID model.
        """
        return cls(load_stage(option, folder, TEACHERS), joint=joint)

    @property
    def width(self) -> int:
        """Number of dimensions of a user vector."""
        return self._table.shape[1]

    def to(self, device: torch.device) -> None:
        """Moves the model."""
        self.model.to(device)
        self._table = self._table.to(device)

    def require_batches(self, n: int, max_len: int) -> None:
        """Raises ConfigError where joint learning needs other batches than there are.

        Args:
            n: Negatives of a batch.
            max_len: Longest history of a batch.
        """
        if not self.joint:
            return
        if self.model.max_len < max_len:
            raise ConfigError(
                f"The teacher reads {self.model.max_len} items, the batches of this model have up "
                f"to {max_len}.",
                f"Set max_len={self.model.max_len} or alignment.joint=false, or train a teacher "
                f"with max_len={max_len}.",
            )
        wanted = self.model.objective.n_negatives
        if wanted not in (0, n):
            raise ConfigError(
                f"The teacher learns with {wanted} negatives, the batches of this model have {n}.",
                "Set alignment.joint=false, or train a teacher with objective.kind=cross-entropy.",
            )

    def users(self, batch: TrainingBatch) -> Tensor:
        """Returns ``[B, E]``, the vector of each row's user after the row's last item."""
        items = latest(batch.items, self.model.max_len)
        with self._gradients():
            table = None if self.joint else self._table
            return self.model.user_vectors(items, batch.users, table)

    def items(self, ids: Tensor) -> Tensor:
        """Returns ``[n, E]`` item vectors of internal ids."""
        with self._gradients():
            return self.model.items(ids) if self.joint else self._table[ids]

    def _gradients(self) -> AbstractContextManager[object]:
        if self.joint:
            return nullcontext()
        self.model.eval()
        return torch.no_grad()
