"""A table that gets rows at its end, again and again, without being copied each time."""

import torch
from torch import Tensor

_ROOM = 1 / 16
"""Share of its rows that a table is made longer than it has to be."""


class GrowingTable:
    """Memory in which the latest table has room behind it.

    Tables that were given out never change: a longer one shares the memory of a shorter one and
    has its own rows behind that. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._memory = torch.zeros(0)
        self._used = 0

    def longer(self, table: Tensor, rows: Tensor) -> Tensor:
        """Returns ``[n + m, D]``: a table ``[n, D]`` and rows ``[m, D]`` behind it.

        Copies the rows alone where the table is the latest that was given out.
        """
        n, m = len(table), len(rows)
        latest = self._used == n and self._memory.data_ptr() == table.data_ptr()
        if not latest or n + m > len(self._memory):
            room = n + m + int((n + m) * _ROOM)
            self._memory = table.new_empty(room, *table.shape[1:])
            self._memory[:n] = table
        self._memory[n : n + m] = rows
        self._used = n + m
        return self._memory[: n + m]
