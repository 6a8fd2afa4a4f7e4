"""`vlmrec`: registers the verbs and turns errors into messages and exit codes.

0 = done; 2 = the input or configuration is wrong (one message); 130 = Ctrl-C, all saved;
anything else escapes as a traceback and exits with 1.
"""

import sys
from typing import Annotated

import typer

from vlmrec.core.errors import VlmrecError

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def build_app() -> typer.Typer:
    """Returns the command line application."""
    from vlmrec.cli.add_items import add_items
    from vlmrec.cli.align import align
    from vlmrec.cli.compare import compare
    from vlmrec.cli.demo import demo
    from vlmrec.cli.diagnose import diagnose
    from vlmrec.cli.doctor import doctor
    from vlmrec.cli.embed import embed
    from vlmrec.cli.estimate import estimate
    from vlmrec.cli.evaluate import evaluate
    from vlmrec.cli.export import build_export_app
    from vlmrec.cli.fetch_images import fetch_images
    from vlmrec.cli.index import index
    from vlmrec.cli.inspect import inspect
    from vlmrec.cli.prepare import build_prepare_app
    from vlmrec.cli.pull import pull
    from vlmrec.cli.push import push
    from vlmrec.cli.recommend import recommend
    from vlmrec.cli.serve import serve
    from vlmrec.cli.train import train
    from vlmrec.cli.tune import tune

    app = typer.Typer(
        name="vlmrec",
        help="Multimodal sequential recommendation: from raw logs, texts and pictures to a "
        "measured next-item recommendation.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_options)
    app.command()(demo)
    app.add_typer(build_prepare_app(), name="prepare")
    app.command("fetch-images")(fetch_images)
    app.command()(inspect)
    app.add_typer(build_export_app(), name="export")
    app.command()(embed)
    app.command()(align)
    app.command()(estimate)
    app.command()(train)
    app.command()(evaluate)
    app.command()(compare)
    app.command()(tune)
    app.command()(diagnose)
    app.command()(index)
    app.command()(recommend)
    app.command("add-items")(add_items)
    app.command()(push)
    app.command()(pull)
    app.command()(serve)
    app.command()(doctor)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"vlmrec {installed('vlmrec')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and leave.",
            is_eager=True,
            # A callback, because without a verb the body below is never reached.
            callback=_print_version,
        ),
    ] = False,
) -> None:
    del version


def main() -> None:
    """Runs the command line."""
    try:
        build_app()(standalone_mode=True)
    except VlmrecError as error:
        _say(f"Error: {error.problem}")
        if error.fix:
            _say(f"       {error.fix}")
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as leaving:
        # Inside a verb typer has made an exit code of the KeyboardInterrupt.
        if isinstance(leaving, SystemExit) and leaving.code != INTERRUPTED:
            raise
        _say("Interrupted. What was done is saved; the same command goes on from there.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; what was asked may be unfinished
        sys.exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
