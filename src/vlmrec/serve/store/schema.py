"""Opening a database: by URL, brought to the current form, with nothing lost on a crash."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from vlmrec.core.errors import ArtifactError, ConfigError, MissingExtraError

_STEPS = Path(__file__).parent / "migrations"
_WAIT_SECONDS = 30
_LOCK = 7_236_814
"""Any number: that of PostgreSQL's advisory lock that servers take to bring tables up to date."""


def open_database(url: str) -> Engine:
    """Returns an engine on a database with the current tables.

    Args:
        url: Such as "sqlite:///shop.db" or "postgresql+psycopg://user:password@host/name".

    Raises:
        ConfigError: The URL is none, or of a database that is not supported.
        MissingExtraError: PostgreSQL's driver is not installed.
        ArtifactError: The database cannot be reached, or was written by a newer version.
    """
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            _bring_up_to_date(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        raise ArtifactError(
            f"The database '{redacted(url)}' cannot be used: {_first_line(error)}",
            "Check that its folder or server is there and may be written to.",
        ) from error
    return engine


def redacted(url: str) -> str:
    """Returns a URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    try:
        name = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise ConfigError(
            "The database was not given as a URL.",
            "Write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        ) from error
    if name == "postgresql" and "+" not in url.split(":", 1)[0]:
        url = url.replace(":", "+psycopg:", 1)
    if name not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"The database is one of '{name}'; supported are sqlite and postgresql.",
            "Write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        )
    try:
        if name == "sqlite":
            return _sqlite(url)
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError("psycopg", "postgres", "A PostgreSQL database") from error


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # Readers go on while one writes, and what was committed is on the disk: nothing that was
        # acknowledged is lost when the process or the machine dies.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later cannot wait for another writer.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _bring_up_to_date(connection: Connection) -> None:
    connection = connection.execution_options(writes=True)
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(_STEPS).replace("%", "%%"))
        config.attributes["connection"] = connection
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        now = MigrationContext.configure(connection).get_current_revision()
        if now is not None and now not in known:
            raise ArtifactError(
                f"The database was written by a newer version of vlmrec (step {now}).",
                "Update vlmrec, or name another database.",
            )
        command.upgrade(config, "head")


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
