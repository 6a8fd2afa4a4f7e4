"""`vlmrec demo`: the whole story on a generated shop."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("demo-shop"),
    seed: Annotated[int, typer.Option(help="Of the shop and of all training.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False,
) -> None:
    """Generate a shop and a second world, train on both, print tables, write a report."""
    from vlmrec.cli.tables import print_comparison
    from vlmrec.core.errors import DataError
    from vlmrec.core.files import refuse_existing
    from vlmrec.pipeline.branch_study import format_study
    from vlmrec.pipeline.demo import SERVED, is_demo, run_demo
    from vlmrec.pipeline.two_tastes import lesson

    def say(text: str) -> None:
        typer.echo(text, err=True)

    started = time.monotonic()
    refuse_existing(out, overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()) and not is_demo(out):
        raise DataError(
            f"The output folder '{out}' holds something else than a demo; it is not replaced.",
            "Choose another --out.",
        )
    if out.is_dir():
        shutil.rmtree(out)
    made = run_demo(out, seed=seed, say=say)
    print_comparison(made.results)
    typer.echo(f"\nvlm2rec in the world of two tastes, NDCG@10:\n{format_study(made.tastes)}")
    typer.echo(lesson(made.tastes))
    typer.echo(f"Report: {made.report}  ({time.monotonic() - started:.0f} s)")
    typer.echo(f"Go on with: vlmrec recommend {made.example_run} --history P0001,P0002")
    typer.echo(
        f"or look at it: vlmrec serve {made.example_run} --data {out / 'dataset'} --with-history "
        f"--runs {out / 'runs'} --database sqlite:///{out / SERVED}"
    )
