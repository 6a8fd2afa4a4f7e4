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
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="How new items get into lists, such as exposure=0.5."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
) -> None:
    """Embed new products from words and pictures; no training is needed."""
    from vlmrec.core.config import parse_assignments
    from vlmrec.core.files import atomic_folder
    from vlmrec.data.sources.files import read_item_file
    from vlmrec.pipeline.adding import add_items as extend
    from vlmrec.pipeline.new_items import NewItems
    from vlmrec.pipeline.run import NEW_ITEMS, Run

    # Without any, those hold that the run has from the last time.
    options = NewItems.parse(parse_assignments(settings), "new items") if settings else None
    before = Run.load(run)
    after = extend(before, read_item_file(items), images, new_items=options)
    with atomic_folder(out, overwrite=overwrite) as temporary:
        after.save(temporary)
    added = after.items.height - before.items.height
    noun = "item" if added == 1 else "items"
    record = after.info[NEW_ITEMS]
    helped = f"scores of new items + {record['offset']:.3g}"
    if record["quota"]:
        helped = f"{record['quota']:.0%} of the places for new items"
    typer.echo(f"{out}: {added:,} {noun} added, {after.items.height:,} in all; {helped}.")
