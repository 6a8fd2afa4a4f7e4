"""Many losses, one data set: what becomes of each branch, and of the ranking when words fail.

Runs are folders. A study that was stopped goes on where it was, and several processes may
share one by training different variants or seeds into the same folder.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from vlmrec.bundle import RUN, is_complete
from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.files import atomic_file, read_json_object
from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.data.parquet_write import write_table
from vlmrec.data.splits import Split
from vlmrec.evaluation.metrics import parse_metrics
from vlmrec.evaluation.over_seeds import over_seeds, paired_differences
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.evaluation.significance import Estimate
from vlmrec.models.spec import ModelSpec
from vlmrec.models.two_branches import TwoBranchRecommender
from vlmrec.pipeline.fit_once import fit_once
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

FUSED, SCORE_SUM = "fused", "score sum"
TEXT, IMAGE = "text branch", "image branch"
SHUFFLED, HALVED = "text shuffled", "half the words"
VIEWS = (FUSED, SCORE_SUM, TEXT, IMAGE, SHUFFLED, HALVED)
"""What is ranked by: the sum of the branches, the mean of their cosines, each branch alone, and
the sum where words belong to other items, or every other word is another one."""

_FILE = "branch_ranks.parquet"


@dataclass(frozen=True, eq=False)
class StudyRow:
    """One variant, over its seeds.

    Attributes:
        variant: Its name.
        seeds: Which runs were found.
        estimates: View -> mean over seeds and users, with the interval over users.
        by_seed: View -> mean of each seed.
        cases: View -> ``[n] float`` mean over seeds of each test case.
        loss: What was minimised.
        seconds_per_epoch: Mean over seeds.
        peak_mib: Largest over seeds.
    """

    variant: str
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    by_seed: Mapping[str, tuple[float, ...]]
    cases: Mapping[str, np.ndarray]
    loss: str
    seconds_per_epoch: float
    peak_mib: float

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        views = {
            name: {
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "seeds": list(self.by_seed[name]),
            }
            for name, one in self.estimates.items()
        }
        return {
            "variant": self.variant,
            "loss": self.loss,
            "seeds": list(self.seeds),
            "views": views,
            "seconds_per_epoch": self.seconds_per_epoch,
            "peak_mib": self.peak_mib,
        }


def study_folder(folder: Path, variant: str, seed: int) -> Path:
    """Returns where a run of the study lies."""
    return folder / f"{re.sub('[^a-z0-9]+', '-', variant.lower()).strip('-')}-seed{seed}"


def study_run(
    spec: ModelSpec,
    split: Split,
    out: Path,
    options: TrainOptions,
    *,
    filter_seen: bool = False,
    quiet: bool = False,
) -> Run:
    """Trains one run of a study and ranks the test cases in every view, unless that is done.

    Args:
        spec: The variant.
        split: Data.
        out: Run folder.
        options: Training, with the seed.
        filter_seen: Leave items of the history out of the ranking.
        quiet: Say nothing on stderr.

    Raises:
        DataError: The folder holds a run with other options.
    """
    run = fit_once(spec, split, out, options, filter_seen=filter_seen, quiet=quiet)
    if not (out / _FILE).is_file():
        ranks = {
            name: rank_targets(
                view, split.test, filter_seen=filter_seen, candidates=split.test_candidates
            ).ranks
            for name, view in study_views(run).items()
        }
        table = pl.DataFrame({"user": np.asarray(split.test.users), **ranks})
        with atomic_file(out / _FILE) as temporary:
            write_table(table, temporary)
    return run


def study_views(run: Run, seed: int = 0) -> dict[str, Ranker]:
    """Returns the views of a run, by name; one that reads a single modality has one.

    Args:
        run: A VLM2Rec run.
        seed: Of the shuffle and of the noise.

    Raises:
        ConfigError: The model has no branches.
    """
    model = run.model
    if not isinstance(model, TwoBranchRecommender):
        raise ConfigError(
            f"The model '{run.spec.name}' has no branches to compare.",
            "Use vlmrec diagnose, which works for every multimodal model.",
        )
    if len(model.modalities) == 1:
        return {FUSED: model.ranker_with({})}
    n = model.reader.n_items
    deal = np.concatenate([[0], Streams(seed).numpy("dealt words").permutation(n) + 1])
    shuffled = ContentChange(shown=torch.as_tensor(deal))
    return {
        FUSED: model.ranker_with({}, readout="cosine"),
        SCORE_SUM: model.ranker_with({}, readout="sum"),
        TEXT: model.ranker_with({"image": ContentChange.absent(n)}),
        IMAGE: model.ranker_with({"text": ContentChange.absent(n)}),
        SHUFFLED: model.ranker_with({"text": shuffled}, readout="cosine"),
        HALVED: model.ranker_with({"text": ContentChange(noise=0.5, seed=seed)}, readout="cosine"),
    }


def study_table(
    folder: Path,
    variants: Mapping[str, ModelSpec],
    seeds: Sequence[int],
    *,
    metric: str = "NDCG@10",
) -> list[StudyRow]:
    """Returns a row for every variant that has at least one finished run.

    Args:
        folder: Of the study.
        variants: By name.
        seeds: Which runs to look for.
        metric: What is shown.
    """
    rows = [
        _row(folder, name, [s for s in seeds if _is_done(folder, name, s)], metric)
        for name in variants
    ]
    return [row for row in rows if row is not None]


def format_study(rows: Sequence[StudyRow]) -> str:
    """Returns the table as text: means, and the seeds' spread in brackets."""
    header = ["loss", *VIEWS, "s/epoch", "MiB"]
    lines = [header]
    for row in rows:
        cells = [_cell(row, view) for view in VIEWS]
        seconds = f"{row.seconds_per_epoch:.1f}"
        lines.append([row.variant, *cells, seconds, f"{row.peak_mib:.0f}"])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def study_differences(rows: Sequence[StudyRow], base: str) -> dict[str, Mapping[str, Estimate]]:
    """Returns, for each variant with the seeds of `base`, view -> by how much it exceeds `base`.

    Compared case by case, which is far sharper than two intervals beside each other.

    Args:
        rows: Of one data set.
        base: Name of the variant that the others are compared with.
    """
    plain = next((row for row in rows if row.variant == base), None)
    found: dict[str, Mapping[str, Estimate]] = {}
    for row in rows:
        if plain is None or row.variant == base or row.seeds != plain.seeds:
            continue
        found[row.variant] = paired_differences(plain.cases, row.cases)
    return found


def format_differences(differences: Mapping[str, Mapping[str, Estimate]], base: str) -> str:
    """Returns what `study_differences` found as text, a line for each variant."""
    lines = [f"against {base}, case by case:"]
    for variant, views in differences.items():
        told = (
            f"{view} {one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
            for view, one in views.items()
            if view in (FUSED, IMAGE, SHUFFLED)
        )
        lines.append(f"  {variant}: {', '.join(told)}")
    return "\n".join(lines)


def _cell(row: StudyRow, view: str) -> str:
    if view not in row.estimates:
        return "-"
    values = row.by_seed[view]
    spread = f" ({min(values):.4f} to {max(values):.4f})" if len(values) > 1 else ""
    return f"{row.estimates[view].mean:.4f}{spread}"


def _is_done(folder: Path, variant: str, seed: int) -> bool:
    out = study_folder(folder, variant, seed)
    return is_complete(out) and (out / _FILE).is_file()


def _row(folder: Path, variant: str, seeds: list[int], metric: str) -> StudyRow | None:
    if not seeds:
        return None
    (measure,) = parse_metrics([metric])
    folders = [study_folder(folder, variant, seed) for seed in seeds]
    tables = [pl.read_parquet(one / _FILE) for one in folders]
    users = tables[0]["user"].to_numpy()
    if any(not np.array_equal(users, one["user"].to_numpy()) for one in tables):
        raise ArtifactError(f"The runs of '{variant}' were tested on different cases.")
    views = [name for name in tables[0].columns if name != "user"]
    values = np.stack(
        [
            np.column_stack([measure.per_case(one[view].to_numpy()) for view in views])
            for one in tables
        ]
    )  # [seeds, cases, views]
    found = over_seeds(values, views, users=users, address=(variant,))
    infos = [read_json_object(one / RUN) for one in folders]
    training = [info["training"] for info in infos]
    return StudyRow(
        variant=variant,
        seeds=tuple(seeds),
        estimates=found.estimates,
        by_seed=found.by_seed,
        cases=found.cases,
        loss=str(infos[0]["loss"]),
        seconds_per_epoch=float(np.mean([_epoch_seconds(one) for one in training])),
        peak_mib=max(float(one["peak_memory_mib"]) for one in training),
    )


def _epoch_seconds(training: Mapping[str, Any]) -> float:
    return training.get("training_seconds", 0.0) / max(training.get("epochs", 1), 1)
