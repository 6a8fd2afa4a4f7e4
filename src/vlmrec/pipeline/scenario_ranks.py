"""Test cases of a finished run, also where the test shows it other content than training did."""

import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from vlmrec.bundle import is_complete, read_ranks, run_identity
from vlmrec.core.columns import ITEM_ID, RANK, USER_ID
from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file
from vlmrec.core.protocols import KnownReader, Multimodal, Ranker
from vlmrec.data.content_gaps import ContentGap
from vlmrec.data.parquet_write import write_table
from vlmrec.data.splits import Split
from vlmrec.evaluation.evaluator import RANK_FILTERED, evaluate_ranker
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.scenarios import Scenario

_FOLDER = "other-content"


def is_measured(folder: Path, scenario: Scenario) -> bool:
    """Returns whether a run is finished and its test cases were ranked in this scenario."""
    gap = scenario.gap_in_test
    return is_complete(folder) and (gap is None or _path(folder, gap).is_file())


def read_measured(folder: Path, scenario: Scenario) -> tuple[dict[str, Any], pl.DataFrame]:
    """Returns a run's record and its test cases with their ranks in this scenario.

    Raises:
        ArtifactError: There is no finished run, or a file is damaged.
    """
    info, table = read_ranks(folder, warm=scenario.about_known_items)
    gap = scenario.gap_in_test
    if gap is None:
        return info, table
    path = _path(folder, gap)
    try:
        ranks = pl.read_parquet(path)
    except pl.exceptions.PolarsError:
        raise ArtifactError(
            f"'{path}' is damaged.", "Remove it; vlmrec compare ranks the cases anew."
        ) from None
    return info, table.select(USER_ID, ITEM_ID).hstack(ranks)


def measure(folder: Path, gap: ContentGap, split: Split, *, filter_seen: bool = False) -> bool:
    """Ranks the test cases of a finished run while its items show other content; stores the ranks.

    A model that reads no such content ranks as it did. One that reads some, but cannot be shown
    other content than it was trained with, is not measured.

    Args:
        folder: Of the run.
        gap: What is wrong with the content.
        split: That the run was trained on.
        filter_seen: Leave items of the history out of the ranking.

    Returns:
        Whether the cases were ranked.

    Raises:
        ArtifactError: The run is damaged.
        DataError: The folder is read-only or the disk is full.
    """
    ranker = _shown(Run.load(folder), gap, split.dataset.n_items)
    if ranker is None:
        return False
    found = evaluate_ranker(
        ranker,
        split.test,
        filter_seen=filter_seen,
        also_filtered=True,
        candidates=split.test_candidates,
    ).cases
    path = _path(folder, gap)
    with atomic_file(path) as temporary:
        write_table(found.select(pl.col(f"^({RANK}|{RANK_FILTERED})$")), temporary)
    return True


def _shown(run: Run, gap: ContentGap, n_items: int) -> Ranker | None:
    model = run.model
    if isinstance(model, KnownReader) and gap.modality not in model.modalities:
        return run.ranker()
    if not isinstance(model, Multimodal):
        return None
    return model.ranker_with({gap.modality: ContentChange(gap.shown(n_items))})


def _path(folder: Path, gap: ContentGap) -> Path:
    text = "\x1f".join([gap.model_dump_json(), run_identity(folder)])
    return folder / _FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"
