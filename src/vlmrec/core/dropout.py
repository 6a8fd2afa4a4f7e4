"""Dropout from named streams: resumable, and the same however many processes share a batch.

torch's own dropout draws from a global generator, so its masks depend on everything drawn
before. Here the mask of module m at step s follows from (seed, s, m, call). On a CPU it is also
about ten times faster, because one 64-bit draw serves four elements.
"""

import contextlib
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.random import Streams

_LEVELS = 1 << 16


class DropoutStream:
    """The state that all dropout modules of one model share during training.

    Args:
        streams: Where random numbers come from.
    """

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.step = 0
        self.first_row = 0
        self.total_rows: int | None = None
        self.calls: dict[int, int] = {}

    def begin(self, step: int, first_row: int = 0, total_rows: int | None = None) -> None:
        """Starts a step.

        Args:
            step: Number of the step since training began.
            first_row: Which row of the whole batch this process's first row is.
            total_rows: Rows of the whole batch, or None where this process has all of them.
        """
        self.step, self.first_row, self.total_rows = step, first_row, total_rows
        self.calls.clear()

    def seed_for(self, module: int) -> int:
        """Returns the seed of a module's next mask in this step."""
        call = self.calls.get(module, 0)
        self.calls[module] = call + 1
        return self.streams.child_seed("dropout", self.step, module, call)

    def state(self) -> tuple[int, int, int | None, dict[int, int]]:
        """Returns what the masks of the calls to come follow from."""
        return self.step, self.first_row, self.total_rows, dict(self.calls)

    def restore(self, state: tuple[int, int, int | None, dict[int, int]]) -> None:
        """Goes back to an earlier `state`, so that the same masks come again."""
        self.step, self.first_row, self.total_rows, calls = state
        self.calls = dict(calls)

    def replayable(
        self,
    ) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        """Returns contexts for a forward pass that begins now and for its re-runs.

        A re-run draws the masks of the forward pass and leaves the stream as it found it. This
        is the `context_fn` for ``torch.utils.checkpoint.checkpoint``, which looks after torch's
        own random state but cannot know of this one.
        """
        return contextlib.nullcontext(), _Replay(self)


class _Replay(contextlib.AbstractContextManager[None]):
    """May be entered any number of times, because a graph may be walked more than once."""

    def __init__(self, stream: DropoutStream) -> None:
        self._stream, self._state = stream, stream.state()
        self._found = self._state

    def __enter__(self) -> None:
        self._found = self._stream.state()
        self._stream.restore(self._state)

    def __exit__(self, *_: object) -> None:
        self._stream.restore(self._found)


class Dropout(nn.Module):
    """Zeroes elements with probability `p` in training and scales the others by 1 / (1 - p).

    Without a stream (see `attach`) it is torch's dropout.

    Args:
        p: Probability, 0 <= p < 1, realised in steps of 1/65536.
        per_row: The first dimension counts rows of the batch; off where the input does not
            depend on the batch (an item table), so that all processes draw the same mask.
    """

    def __init__(self, p: float, *, per_row: bool = True) -> None:
        super().__init__()
        self.p = p
        self.per_row = per_row
        self.stream: DropoutStream | None = None
        self.number = 0

    def forward(self, values: Tensor, ids: Tensor | None = None) -> Tensor:
        """Returns `values` (any shape) with elements dropped.

        Args:
            values: What to drop from.
            ids: ``[n]`` what the rows of `values` ``[n, D]`` stand for, where processes hold
                different ones: equal ids lose the same elements everywhere.
        """
        if not self.training or self.p == 0:
            return values
        if self.stream is None:
            return F.dropout(values, self.p, training=True)
        if ids is not None:
            keep = _keep_of(ids, values.shape[1], self.p, self.stream.seed_for(self.number))
            return values * keep.to(values.dtype).mul_(1 / (1 - self.p))
        return values * self._mask(values, self.stream)

    def _mask(self, values: Tensor, stream: DropoutStream) -> Tensor:
        seed = stream.seed_for(self.number)
        shape = list(values.shape)
        total = stream.total_rows if self.per_row else None
        if total is not None:
            shape[0] = total
        keep = _keep(shape, self.p, seed, values.device)
        if total is not None:
            keep = keep[stream.first_row : stream.first_row + values.shape[0]]
        return keep.to(values.dtype).mul_(1 / (1 - self.p))


class RowDraws(nn.Module):
    """One uniform number a row of the batch, from the stream that dropout draws from."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: DropoutStream | None = None
        self.number = 0

    def forward(self, n_rows: int) -> Tensor:
        """Returns ``[n_rows] float32`` in [0, 1), on the CPU."""
        if self.stream is None:
            return torch.rand(n_rows)
        generator = torch.Generator().manual_seed(self.stream.seed_for(self.number))
        total = self.stream.total_rows or n_rows
        first = self.stream.first_row if self.stream.total_rows else 0
        return torch.rand(total, generator=generator)[first : first + n_rows]


def attach(model: nn.Module, stream: DropoutStream) -> None:
    """Gives every dropout module of `model` its number and the stream to draw from."""
    modules = [module for module in model.modules() if isinstance(module, Dropout | RowDraws)]
    for number, module in enumerate(modules):
        module.stream, module.number = stream, number


def stream_of(model: nn.Module) -> DropoutStream | None:
    """Returns the stream that was attached to `model`, or None."""
    modules = (module for module in model.modules() if isinstance(module, Dropout))
    return next((module.stream for module in modules), None)


def _keep(shape: list[int], p: float, seed: int, device: torch.device) -> Tensor:
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(seed)
        return torch.rand(shape, generator=generator, device=device) >= p
    n = math.prod(shape)
    raw = np.random.SFC64(seed).random_raw(-(-n // 4))
    levels = torch.as_tensor(raw.view(np.int16)[:n])
    return (levels >= round(p * _LEVELS) - _LEVELS // 2).view(shape)


def _keep_of(ids: Tensor, width: int, p: float, seed: int) -> Tensor:
    """Returns ``[n, width] bool``; a row follows from its id and the seed alone.

    Numbers come from the finaliser of SplitMix64 (Steele, Lea & Flood, 2014) over a counter,
    so that the masks of other ids need not be drawn.
    """
    quads = -(-width // 4)
    place = ids.cpu().numpy().astype(np.uint64)[:, None] * np.uint64(quads)
    mixed = place + np.arange(quads, dtype=np.uint64) + np.uint64(seed)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    levels = torch.as_tensor(mixed.view(np.int16)[:, :width].copy(), device=ids.device)
    return levels >= round(p * _LEVELS) - _LEVELS // 2
