"""`vlmrec serve`: a run answers over HTTP."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer


def serve(
    run: Annotated[Path | None, typer.Argument(help="Run folder.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset folder: attributes to filter by, pictures to show."),
    ] = None,
    with_history: Annotated[
        bool,
        typer.Option("--with-history", help="Store the dataset's interactions as events first."),
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    database: Annotated[
        str, typer.Option(help="sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.")
    ] = "sqlite:///vlmrec.db",
    keys: Annotated[Path | None, typer.Option(help="File of API keys and their roles.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder whose runs may be swapped in while serving.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Further options, as in key=value.")
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(help="NAME:ROLE; prints a new key and its entry for the file, and leaves."),
    ] = None,
) -> None:
    """Serve recommendations over HTTP: live events, new items, filters, another run at any time."""
    if new_key is not None:
        _print_key(new_key)
        return
    from vlmrec.core.config import parse_assignments
    from vlmrec.core.errors import ConfigError

    if run is None:
        raise ConfigError("No run was named.", "Write: vlmrec serve RUN")
    _require_extra()
    from vlmrec.serve.cores import share_cores

    share_cores(os.environ)  # before the imports below load what reads it
    from vlmrec.data.dataset import Dataset
    from vlmrec.serve.options import ServeOptions
    from vlmrec.serve.running import listen, make_app, make_service, store_history

    given = {"host": host, "port": port, "database": database, "keys": keys, "runs": runs}
    options = ServeOptions.parse(given | parse_assignments(settings or []), "vlmrec serve")
    if with_history and data is None:
        raise ConfigError("--with-history needs a dataset.", "Name its folder with --data.")
    dataset = None if data is None else Dataset.load(data)
    service = make_service(run, options, dataset)
    app = make_app(service)
    if with_history and dataset is not None:
        stored = store_history(service.store, dataset)
        typer.echo(f"{stored:,} interactions were stored as events.", err=True)
    typer.echo(
        f"Serving '{run}': look at it at http://{options.host}:{options.port}/ ; programs find "
        "the routes in /openapi.json.",
        err=True,
    )
    listen(app, options)


def _print_key(wanted: str) -> None:
    from vlmrec.core.errors import ConfigError
    from vlmrec.serve.keys import ROLES, new_key

    name, _, role = wanted.partition(":")
    if not name or role not in ROLES:
        raise ConfigError(
            f"'{wanted}' is no name and role.", f"Write NAME:ROLE; roles: {', '.join(ROLES)}."
        )
    key, digest = new_key()
    typer.echo(key)
    entry = json.dumps({name: {"role": role, "sha256": digest}})
    typer.echo(f"Keep it: it is stored nowhere. The file of keys gets: {entry}", err=True)


def _require_extra() -> None:
    from importlib.util import find_spec

    from vlmrec.core.errors import MissingExtraError

    packages = (
        "fastapi",
        "fastapi_offline",
        "uvicorn",
        "sqlalchemy",
        "alembic",
        "prometheus_client",
    )
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve", "Serving a run")
