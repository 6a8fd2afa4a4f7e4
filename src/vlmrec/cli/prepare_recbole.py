"""`vlmrec prepare recbole`: RecBole's atomic files -> dataset folder."""

from pathlib import Path
from typing import Annotated

import typer

from vlmrec.cli.preparing import (
    READING,
    AsJson,
    DropInvalid,
    Encoding,
    ItemColumn,
    MinHistory,
    MinItem,
    MinRating,
    MinUser,
    Out,
    Overwrite,
    RatingColumn,
    Repeats,
    TimeColumn,
    TitleColumn,
    UserColumn,
    write_dataset,
)
from vlmrec.core.files import refuse_existing
from vlmrec.data.cleaning import CleaningOptions
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.recbole import read_recbole


def prepare_recbole(
    path: Annotated[Path, typer.Argument(help="Folder with X.inter and X.item, or X.inter.")],
    out: Out,
    images: Annotated[
        Path | None, typer.Option(help="Folder of pictures named by item: <item_id>.jpg.")
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_column: TimeColumn = None,
    rating: RatingColumn = None,
    title: TitleColumn = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    min_rating: MinRating = None,
    drop_invalid: DropInvalid = False,
    encoding: Encoding = None,
    separator: Annotated[
        str | None,
        typer.Option(
            help="Between fields (RecBole's field_separator); default: tab.",
            rich_help_panel=READING,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn RecBole's atomic files into a dataset folder.

    Read are X.inter (one event a line, with times) and, beside it, X.item; X.user is not used.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        min_rating=min_rating,
        repeats=repeats,
        min_user=min_user,
        min_item=min_item,
        min_history=min_history,
    )
    raw = read_recbole(
        path,
        names=ColumnNames(user=user, item=item, time=time_column, rating=rating, title=title),
        images=images,
        encoding=encoding,
        separator=separator,
        drop_invalid=drop_invalid,
    )
    write_dataset("recbole", raw, cleaning, out, overwrite, as_json)
