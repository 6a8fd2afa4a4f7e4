"""Fetches the pictures of a dataset folder, and goes on where an earlier call stopped.

Pictures are written first, then the status table, then the catalogue and its manifest: whatever
kills a call, the folder is whole, and the next call finds what is there.
"""

from collections.abc import Callable
from pathlib import Path

from vlmrec.core.claims import claimed
from vlmrec.core.columns import IMAGE, ITEM_ID
from vlmrec.core.progress import Advance
from vlmrec.data.dataset import Dataset
from vlmrec.data.fetching.catalogue_images import put_images
from vlmrec.data.fetching.errands import Errands
from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.fetching.picture_files import PictureFolder, file_stems
from vlmrec.data.fetching.plan import plan_fetching
from vlmrec.data.fetching.report import FetchReport, count_statuses, frequent_reasons
from vlmrec.data.fetching.status_table import read_statuses, write_statuses


def fetch_images(
    folder: Path,
    options: FetchOptions | None = None,
    *,
    again: bool = False,
    advance: Advance | None = None,
    stopping: Callable[[], bool] | None = None,
) -> FetchReport:
    """Fetches the pictures whose addresses the items have, and puts them into the catalogue.

    Args:
        folder: Dataset folder; its ``images``, ``image_status.parquet``, ``items.parquet`` and
            ``manifest.json`` are written.
        options: Limits.
        again: Ask again for pictures that were missing, refused or broken.
        advance: Told how many items are settled, and of how many.
        stopping: Asked now and then whether to stop early; what came by then is kept.

    Raises:
        DataError: There is no dataset, its items have no addresses, or it cannot be written.
        BusyError: Another process is fetching for it.
        ArtifactError: The dataset or its status table is damaged.
    """
    Dataset.load(folder)  # what is no dataset is refused before anything is written beside it
    with claimed(folder):
        return _fetch(
            folder, options or FetchOptions(), again, advance or _silent, stopping or _never
        )


def _fetch(
    folder: Path,
    options: FetchOptions,
    again: bool,
    advance: Advance,
    stopping: Callable[[], bool],
) -> FetchReport:
    dataset = Dataset.load(folder)
    table = dataset.catalog.table
    files, stems = PictureFolder(folder), file_stems(table)
    plan = plan_fetching(table, read_statuses(folder), stems, files, again=again)
    # First of all: a folder that cannot be written is found out before anybody is asked.
    write_statuses(folder, plan.known)
    errands = Errands(folder, plan, stems, files, options, advance)
    if plan.wanted:
        errands.run(stopping)
    wanted = {item_id for items in plan.wanted.values() for item_id in items}
    ours = wanted | plan.known.keys()
    images = [
        plan.images.get(item_id) if item_id in ours else own
        for item_id, own in table.select(ITEM_ID, IMAGE).iter_rows()
    ]
    statuses = count_statuses(plan.known)
    return FetchReport(
        with_address=plan.own + len(ours),
        own=plan.own,
        statuses=statuses,
        not_asked=len(wanted - plan.known.keys()),
        fetched_now=errands.fetched,
        bytes_now=errands.bytes,
        requests_now=errands.requests,
        reasons=frequent_reasons(plan.known),
        fingerprint=put_images(folder, dataset, images, statuses).fingerprint,
    )


def _silent(done: int, total: int) -> None:
    del done, total


def _never() -> bool:
    return False
