"""What training tells: progress with time left, a line an epoch, metrics.jsonl, TensorBoard."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vlmrec.core.errors import MissingExtraError
from vlmrec.core.files import atomic_file


class TrainingLog:
    """Writes one line an epoch to stderr and to ``metrics.jsonl``.

    Args:
        folder: The run folder, or None to write no files.
        label: What is being trained, at the head of each line.
        quiet: Say nothing on stderr.
        tensorboard: Also write TensorBoard event files.
    """

    def __init__(
        self, folder: Path | None, label: str, *, quiet: bool = False, tensorboard: bool = False
    ) -> None:
        self._path = None if folder is None else folder / "metrics.jsonl"
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._label = label
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._board = _board(folder) if tensorboard and folder is not None else None
        self.lines: list[dict[str, Any]] = []

    def resume(self, next_epoch: int) -> None:
        """Forgets the lines of epochs that will be trained (again)."""
        if self._path is None or not self._path.is_file():
            return
        self.lines = [line for line in read_lines(self._path.parent) if line["epoch"] < next_epoch]
        self._write()

    def start_epoch(self, epoch: int, n_steps: int, done: int) -> None:
        """Shows a bar for the steps of an epoch, on a terminal."""
        if not self._console.is_terminal or self._console.quiet:
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self._bar = Progress(*columns, *times, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("")
        text = f"{self._label} epoch {epoch + 1}"
        self._bar.reset(self._task, total=n_steps, completed=done, description=text)

    def step(self) -> None:
        """Moves the bar by one step."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def epoch(self, line: dict[str, Any], text: str) -> None:
        """Records an epoch.

        Args:
            line: For metrics.jsonl; must have "epoch".
            text: For people.
        """
        self.lines.append(line)
        self._write()
        self._console.print(f"{self._label}  {text}", soft_wrap=True)
        if self._board is not None:
            for name, value in line.items():
                if name != "epoch" and isinstance(value, float):
                    self._board.add_scalar(name, value, line["epoch"])

    def say(self, text: str) -> None:
        """Prints a remark on stderr."""
        self._console.print(f"{self._label}  {text}", soft_wrap=True)

    def close(self) -> None:
        """Removes the bar and closes files."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._board is not None:
            self._board.close()

    def _write(self) -> None:
        if self._path is None:
            return
        with atomic_file(self._path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self.lines))


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """Returns the records of the epochs in a run folder; none where nothing was trained."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard", "Option 'tensorboard'") from None
    return SummaryWriter(str(folder / "tensorboard"))
