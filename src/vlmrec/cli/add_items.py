"""`vlmrec add-items`: products that appeared after training, recommendable at once."""

from pathlib import Path
from typing import Annotated

import typer


def add_items(
    run: Annotated[Path, typer.Argument(help="Run folder of a content model.")],
    items: Annotated[
        Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet file with item_id, title, ...")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to write the run with the new items.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures: item_id.jpg, or as column image says."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Embed new products from words and pictures; no training is needed."""
    from vlmrec.core.files import atomic_folder
    from vlmrec.data.sources.files import read_item_file
    from vlmrec.pipeline.adding import add_items as extend
    from vlmrec.pipeline.run import Run

    before = Run.load(run)
    after = extend(before, read_item_file(items), images)
    with atomic_folder(out, overwrite=overwrite) as temporary:
        after.save(temporary)
    added = after.items.height - before.items.height
    noun = "item" if added == 1 else "items"
    typer.echo(f"{out}: {added:,} {noun} added, {after.items.height:,} in all.")
