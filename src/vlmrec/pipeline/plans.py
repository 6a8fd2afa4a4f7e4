"""Ways to train a vision-language model within a memory, and what each of them needs."""

from collections.abc import Callable
from dataclasses import dataclass

from vlmrec.pipeline.workload import Workload
from vlmrec.vlm.estimating import Memory, StepCosts
from vlmrec.vlm.options import TuningOptions

PROGRAM = 600_000_000
"""Bytes of Python with its libraries, or of a CUDA context, beside all tensors."""
RESERVE = 0.05
"""Share of the memory that is left free: gaps between tensors, rounding of their sizes."""

_LARGEST_BATCH = 4096
_LARGEST_CHUNK = 256


@dataclass(frozen=True)
class Plan:
    """One way to train, with what it needs.

    Attributes:
        name: For people.
        tuning: Which weights learn, and whether activations are computed again.
        chunk: Rows encoded at a time under the gradient cache; None = without it.
        memory: At the wanted batch.
        fits: Whether the wanted batch fits.
        largest_batch: Largest batch that fits; None = any.
        seconds_per_step: None where the device's speed is unknown.
        seconds_per_epoch: Over all training rows, at the wanted batch or the largest below it.
    """

    name: str
    tuning: TuningOptions
    chunk: int | None
    memory: Memory
    fits: bool
    largest_batch: int | None
    seconds_per_step: float | None
    seconds_per_epoch: float | None

    @property
    def peak(self) -> int:
        """Bytes at the peak, the program included."""
        return self.memory.total + PROGRAM


@dataclass(frozen=True)
class Fitting:
    """Finds what fits of one way of tuning.

    Attributes:
        costs: Of its steps.
        work: What is trained on.
        room: Bytes that may be used.
    """

    costs: StepCosts
    work: Workload
    room: int

    def plain(self, tuning: TuningOptions, batch: int) -> Plan:
        """Returns the plan that keeps all activations of a batch."""
        most = self._largest(lambda size: self._need(size, None), _LARGEST_BATCH)
        return self._plan(tuning, batch, None, most)

    def in_chunks(self, tuning: TuningOptions, batch: int) -> Plan:
        """Returns the plan that encodes a batch of any size in chunks."""
        chunk = self._largest(lambda size: self._need(max(batch, size), size), _LARGEST_CHUNK)
        return self._plan(tuning, batch, max(chunk, 1), None if chunk else 0)

    def _need(self, batch: int, chunk: int | None) -> Memory:
        return self.costs.memory(self.work.longest_batch(batch), chunk)

    def _plan(self, tuning: TuningOptions, batch: int, chunk: int | None, most: int | None) -> Plan:
        need = self._need(batch, chunk)
        size = batch if most is None else min(batch, max(most, 1))
        rows = self.work.typical_batch(size)
        step = self.costs.seconds(rows, twice=chunk is not None)
        return Plan(
            _named(tuning, chunk),
            tuning,
            chunk,
            need,
            self._fits(need),
            most,
            step,
            None if step is None else step * self.work.rows / size,
        )

    def _fits(self, need: Memory) -> bool:
        return need.total + PROGRAM <= self.room

    def _largest(self, need: Callable[[int], Memory], limit: int) -> int:
        """Returns the largest size that fits, up to `limit`; 0 where not even 1 does."""
        good, bad = 0, limit + 1
        size = 1
        while bad - good > max(1, good // 32):  # to about 3 %
            if self._fits(need(size)):
                good = size
            else:
                bad = size
            size = min(2 * good, limit) if bad > limit else (good + bad) // 2
            if good == limit:
                break
            size = max(size, good + 1)
        return good


def _named(tuning: TuningOptions, chunk: int | None) -> str:
    name = "full" if tuning.kind == "full" else f"LoRA rank {tuning.rank}"
    if tuning.gradient_checkpointing:
        name += " + checkpointing"
    return name if chunk is None else f"{name} + gradient cache"
