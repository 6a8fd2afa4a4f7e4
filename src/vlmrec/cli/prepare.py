"""`vlmrec prepare`: raw files -> dataset folder, and what was dropped on the way and why."""

from pathlib import Path
from typing import Annotated

import typer

from vlmrec.cli.prepare_published import add_published
from vlmrec.cli.prepare_recbole import prepare_recbole
from vlmrec.cli.preparing import (
    COLUMNS,
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
    Separator,
    TimeColumn,
    TitleColumn,
    UserColumn,
    report_console,
    write_dataset,
)
from vlmrec.core.files import refuse_existing
from vlmrec.data.cleaning import CleaningOptions
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.files import FileSource, read_files
from vlmrec.data.sources.sequence_lines import read_sequences

LogFiles = Annotated[
    list[Path] | None,
    typer.Option("--interactions", help="A file that holds interactions.", rich_help_panel=READING),
]
ItemFiles = Annotated[
    list[Path] | None,
    typer.Option("--items", help="A file that holds items.", rich_help_panel=READING),
]
DescriptionColumn = Annotated[
    str | None, typer.Option(help="Descriptions.", rich_help_panel=COLUMNS)
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Paths of pictures.", rich_help_panel=COLUMNS)
]


def build_prepare_app() -> typer.Typer:
    """Returns the application with one sub-verb for each kind of source."""
    app = typer.Typer(
        no_args_is_help=True,
        help="Turn raw files into a dataset folder, and say what was dropped and why.",
    )
    app.command("files")(prepare_files)
    app.command("sequences")(prepare_sequences)
    app.command("recbole")(prepare_recbole)
    add_published(app)
    app.command("two-tastes")(prepare_two_tastes)
    return app


def prepare_files(
    out: Out,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="CSV, TSV, JSON Lines (also .gz) or Parquet files."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures: <item_id>.jpg, or as the image column says."),
    ] = None,
    interactions: LogFiles = None,
    items: ItemFiles = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    time_column: TimeColumn = None,
    rating: RatingColumn = None,
    title: TitleColumn = None,
    description: DescriptionColumn = None,
    image: ImageColumn = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    min_rating: MinRating = None,
    drop_invalid: DropInvalid = False,
    encoding: Encoding = None,
    separator: Separator = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn your own tables (and pictures) into a dataset folder.

    Which file holds interactions and which items, and which column is what, is guessed from
    the names and said; the options under Columns take precedence (a number counts columns).
    """
    refuse_existing(out, overwrite=overwrite)
    source = FileSource(
        paths=tuple(paths or ()),
        interactions=tuple(interactions or ()),
        items=tuple(items or ()),
        images=images,
        names=ColumnNames(
            user=user,
            item=item,
            time=time_column,
            rating=rating,
            title=title,
            description=description,
            image=image,
        ),
        encoding=encoding,
        separator=separator,
        drop_invalid=drop_invalid,
    )
    cleaning = CleaningOptions(
        min_rating=min_rating,
        repeats=repeats,
        min_user=min_user,
        min_item=min_item,
        min_history=min_history,
    )
    write_dataset("files", read_files(source), cleaning, out, overwrite, as_json)


def prepare_sequences(
    path: Annotated[Path, typer.Argument(help="Text file: user item item ... in each line.")],
    out: Out,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    encoding: Encoding = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn lines of `user item item ...` (oldest first) into a dataset folder.

    Such files have no times: the time of an event is its position in the line.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        repeats=repeats, min_user=min_user, min_item=min_item, min_history=min_history
    )
    raw = read_sequences(path, encoding)
    write_dataset("sequences", raw, cleaning, out, overwrite, as_json)


def prepare_two_tastes(
    out: Out,
    seed: Annotated[int, typer.Option(help="Of the world and of the toy's weights.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Generate the world of two tastes, and an untrained toy that can learn it.

    600 items, 3,000 users: titles tell one taste, small pictures another. The toy is a very
    small vision-language model in the folder's `toy`: what vlm2rec does to words and pictures
    shows in minutes.
    """
    from rich.markup import escape

    from vlmrec.pipeline.two_tastes import TOY, make_two_tastes

    refuse_existing(out, overwrite=overwrite)
    dataset = make_two_tastes(out, seed, overwrite=overwrite)
    console = report_console()
    console.print(
        f"[bold]{escape(str(out))}[/]: {dataset.n_users:,} users, {dataset.n_items:,} items, each "
        "with a title and a picture."
    )
    command = f"vlmrec train vlm2rec --data {out} --set backbone={out / TOY}"
    recipe = "recipes/two-tastes/vlm2rec.yaml"
    console.print(f"Train on it with: {escape(command)} --config {recipe}")
