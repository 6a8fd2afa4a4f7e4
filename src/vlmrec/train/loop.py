"""The training loop: the same result on one process and on several, undisturbed or resumed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from vlmrec.core.device import choose_device
from vlmrec.core.dropout import DropoutStream, attach
from vlmrec.core.protocols import BatchSource, Monitored, TrainingBatch, Validation
from vlmrec.core.random import Streams
from vlmrec.train.checkpoint import Checkpoints, Progress, parameters_of, restore_parameters
from vlmrec.train.interrupt import StepBoundary
from vlmrec.train.log import TrainingLog
from vlmrec.train.options import TrainOptions

_T = TypeVar("_T")
Watch = Callable[[int, float], bool]
"""Is told after each validation how many epochs are done and the value; True ends training."""


@dataclass(frozen=True)
class TrainingResult:
    """How training went.

    Attributes:
        progress: Final counters; `best` is the validation metric of the weights that were kept.
        lines: One record an epoch, as in metrics.jsonl.
    """

    progress: Progress
    lines: list[dict[str, Any]]


def train(
    model: nn.Module,
    batches: BatchSource,
    validation: Validation,
    options: TrainOptions,
    *,
    label: str,
    folder: Path | None = None,
    config_hash: str = "",
    watch: Watch | None = None,
    quiet: bool = False,
) -> TrainingResult:
    """Trains `model` in place and leaves it with its best weights.

    Args:
        model: A torch module that satisfies `vlmrec.core.protocols.Trainable`.
        batches: Where batches come from.
        validation: What epochs are chosen by, measured after every `valid_every` of them.
        options: How long and how fast.
        label: Name for the log.
        folder: Run folder for checkpoints and logs; without it nothing is written.
        config_hash: Guards against continuing a run of another configuration.
        watch: May end training early, after any validation.
        quiet: Say nothing.

    Raises:
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when the step was finished and saved.
        ArtifactError: A checkpoint is damaged or belongs to another configuration.
    """
    loop = _Loop(model, batches, validation, options, label, folder, config_hash, watch, quiet)
    try:
        return loop.run()
    finally:
        loop.log.close()


class _Loop:
    def __init__(
        self,
        model: nn.Module,
        batches: BatchSource,
        validation: Validation,
        options: TrainOptions,
        label: str,
        folder: Path | None,
        config_hash: str,
        watch: Watch | None,
        quiet: bool,
    ) -> None:
        # Without cpu=True several processes on a machine without GPU would not find each other.
        self.accelerator = Accelerator(cpu=choose_device(options.device).device.type == "cpu")
        self.options = options
        self.batches = batches
        self.validation = validation
        self.watch = watch
        self.plain = model
        self.dropout = DropoutStream(Streams(options.seed))
        attach(model, self.dropout)
        optimizer = torch.optim.AdamW(
            [weight for weight in model.parameters() if weight.requires_grad],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.is_main = self.accelerator.is_main_process
        self.log = TrainingLog(
            folder if self.is_main else None,
            label,
            quiet=quiet or not self.is_main,
            tensorboard=options.tensorboard,
        )
        self.checkpoints = None if folder is None else Checkpoints(folder, config_hash)
        self.progress = Progress()
        self.best: dict[str, Tensor] | None = None

    def run(self) -> TrainingResult:
        if self.checkpoints is not None:
            self.progress, self.best = self.checkpoints.restore(self.plain, self.optimizer)
            self.log.resume(self.progress.epoch)
            if self.progress.total_steps and not self.progress.finished:
                self.log.say(f"continues at epoch {self.progress.epoch + 1}")
        with StepBoundary() as boundary:
            while not self.progress.finished and self.progress.epoch < self.options.epochs:
                self._epoch(boundary)
        if self.best is not None:
            restore_parameters(self.plain, self.best)
        self.plain.eval()
        return TrainingResult(self.progress, self.log.lines)

    def _epoch(self, boundary: StepBoundary) -> None:
        epoch = self.progress.epoch
        plan = self.batches.plan(epoch)[: self.options.epoch_steps]
        alone = self.accelerator.num_processes == 1
        self.model.train()
        self.log.start_epoch(epoch, len(plan), self.progress.step)
        for step in range(self.progress.step, len(plan)):
            started = time.perf_counter()
            batch = self.batches.build(plan[step], epoch, step)
            loss, count, stop = self._step(batch, len(plan), boundary.wanted)
            self._advance(
                step=step + 1,
                total_steps=self.progress.total_steps + 1,
                loss_total=self.progress.loss_total + loss,
                loss_count=self.progress.loss_count + count,
                seconds=self.progress.seconds + time.perf_counter() - started,
            )
            self.log.step()
            if stop or (alone and boundary.wanted):
                self._save()
                raise KeyboardInterrupt
        self._end_epoch(epoch)
        if alone and boundary.wanted:  # it came during validation; all is saved
            raise KeyboardInterrupt

    def _step(
        self, batch: TrainingBatch, steps_per_epoch: int, interrupted: bool
    ) -> tuple[float, int, bool]:
        """Does one optimiser step.

        Returns:
            The loss summed over the whole batch, its count, and whether any of several
            processes was interrupted: all must stop at the same step, or the others wait forever.
        """
        rows, world = len(batch.items), self.accelerator.num_processes
        first = rows * self.accelerator.process_index // world
        last = rows * (self.accelerator.process_index + 1) // world
        count = max(int((batch.targets != 0).sum()), 1)
        self.dropout.begin(self.progress.total_steps, first, None if world == 1 else rows)
        shard = batch if world == 1 else _rows(batch, first, last)
        total, _ = self.model(shard.to(self.accelerator.device))
        # Gradients are averaged over processes; times their number it is the sum over shards.
        self.accelerator.backward(total * (world / (batch.usual_count or count)))
        if self.options.grad_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.grad_clip)
        self._set_learning_rate(steps_per_epoch)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        stop = False
        if world > 1:
            told = torch.stack([total.detach(), total.new_tensor(float(interrupted))])
            total, votes = cast("Tensor", self.accelerator.reduce(told, reduction="sum"))
            stop = float(votes) > 0
        loss = float(total.detach())
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} at step {self.progress.total_steps}; "
                "try a smaller learning_rate or grad_clip."
            )
        return loss, count, stop

    def _set_learning_rate(self, steps_per_epoch: int) -> None:
        step, options = self.progress.total_steps, self.options
        rate = options.learning_rate
        if step < options.warmup_steps:
            start = options.warmup_start
            rate *= start + (1 - start) * (step + 1) / options.warmup_steps
        elif options.schedule == "cosine":
            whole = max(options.epochs * steps_per_epoch - options.warmup_steps, 1)
            done = min((step - options.warmup_steps) / whole, 1.0)  # epochs differ in length
            rate *= 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _end_epoch(self, epoch: int) -> None:
        self._advance(epoch=epoch + 1, step=0)
        loss = self.progress.loss_total / max(self.progress.loss_count, 1)
        line: dict[str, Any] = {"epoch": epoch, "loss": loss}
        if (epoch + 1) % self.options.valid_every == 0 or epoch + 1 == self.options.epochs:
            value = self._validated()
            line[f"valid {self.validation.name}"] = value
            self._keep_if_best(epoch, value)
            if self._watched(epoch + 1, value):
                self._advance(finished=True)
        if isinstance(self.plain, Monitored):
            line["signals"] = self.plain.take_signals()
        line["seconds"] = round(self.progress.seconds, 3)
        self.log.epoch(line, self._summary(epoch, line))
        self._advance(loss_total=0.0, loss_count=0)
        self._save()

    def _validated(self) -> float:
        self.plain.eval()
        value = self._agreed(self.validation.measure() if self.is_main else 0.0)
        self.plain.train()
        return value

    def _watched(self, epochs: int, value: float) -> bool:
        if self.watch is None:
            return False
        return self._agreed(self.watch(epochs, value) if self.is_main else False)

    def _agreed(self, of_main: _T) -> _T:
        """Returns what the main process found, in all of them."""
        box = [of_main]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(box)
        return box[0]

    def _keep_if_best(self, epoch: int, value: float) -> None:
        if self.progress.best is None or value > self.progress.best:
            self.best = parameters_of(self.plain)
            self._advance(best=value, best_epoch=epoch, stale=0)
            return
        stale = self.progress.stale + 1
        self._advance(stale=stale, finished=stale >= self.options.patience)

    def _summary(self, epoch: int, line: dict[str, Any]) -> str:
        per_epoch = self.progress.seconds / (epoch + 1)
        left = 0.0 if self.progress.finished else (self.options.epochs - epoch - 1) * per_epoch
        text = f"epoch {epoch + 1}/{self.options.epochs}  loss {line['loss']:.4f}"
        metric = f"valid {self.validation.name}"
        if metric in line and self.progress.best is not None:
            text += f"  {metric} {line[metric]:.4f} (best {self.progress.best:.4f}"
            text += f" at {self.progress.best_epoch + 1})"
        ending = "stops early" if self.progress.finished else f"at most {_clock(left)} left"
        return f"{text}  {per_epoch:.1f} s/epoch  {ending}"

    def _advance(self, **changes: int | float | bool) -> None:
        self.progress = self.progress.model_copy(update=changes)

    def _save(self) -> None:
        if self.checkpoints is not None and self.is_main:
            self.checkpoints.save(self.plain, self.optimizer, self.progress, self.best)


def _rows(batch: TrainingBatch, first: int, last: int) -> TrainingBatch:
    negatives = batch.negatives
    if negatives is not None and negatives.dim() > 1:
        negatives = negatives[first:last]
    return TrainingBatch(
        batch.items[first:last],
        batch.targets[first:last],
        batch.users[first:last],
        negatives,
        batch.progress,
        None if batch.twins is None else batch.twins.rows(first, last),
        batch.usual_count,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
