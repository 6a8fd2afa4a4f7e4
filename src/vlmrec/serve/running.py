"""Starting a service: from a run folder and options to an application that listens."""

import gc
import ipaddress
from pathlib import Path

from fastapi import FastAPI

from vlmrec.core.errors import ConfigError
from vlmrec.data.dataset import Dataset
from vlmrec.pipeline.run import Run
from vlmrec.serve.app import create_app
from vlmrec.serve.keys import Keys
from vlmrec.serve.live import Live, go_live
from vlmrec.serve.logs import log_to_stderr
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.service import Service
from vlmrec.serve.store.records import Event
from vlmrec.serve.store.store import Store, open_store

_EVENTS_AT_A_TIME = 2000


def make_service(folder: Path, options: ServeOptions, dataset: Dataset | None = None) -> Service:
    """Returns a service of a run.

    Args:
        folder: The run.
        options: How it is served.
        dataset: Gives attributes to filter by, and pictures to show.

    Raises:
        ArtifactError: There is no finished run, it is damaged, or the database cannot be used.
        ConfigError: The options do not fit together.
    """

    def load(one: Path) -> Live:
        table = None if dataset is None else dataset.catalog.table
        images = None if dataset is None else dataset.catalog.root
        return go_live(Run.load(one), attributes=table, images=images)

    require_safe(options)
    return Service(load(folder), open_store(options.database), options, load)


def make_app(service: Service) -> FastAPI:
    """Returns the application of a service, with the keys that its options name."""
    keys = service.options.keys
    return create_app(service, None if keys is None else Keys.read(keys))


def require_safe(options: ServeOptions) -> None:
    """Refuses to listen to other machines without keys.

    Raises:
        ConfigError: That is what was asked for.
    """
    if options.keys is None and not _is_local(options.host):
        raise ConfigError(
            f"The service was to listen on '{options.host}' without keys: everybody who reaches "
            "it could change items.",
            "Give --keys FILE, or leave --host out to serve this machine only.",
        )


def store_history(store: Store, dataset: Dataset) -> int:
    """Stores a dataset's interactions as events; once only, however often it is asked.

    Returns:
        How many are new.
    """
    log, users, items = dataset.sequences, dataset.users, dataset.items
    names, sold = users.names.to_list(), items.names.to_list()
    stored, events = 0, []
    for user in range(len(names)):
        for place in range(int(log.offsets[user]), int(log.offsets[user + 1])):
            item, time = sold[int(log.items[place]) - 1], int(log.timestamps[place])
            number = f"{dataset.fingerprint}:{place}"
            events.append(Event(names[user], item, time, "interaction", number))
        if len(events) >= _EVENTS_AT_A_TIME:
            stored, events = stored + store.add_events(events), []
    return stored + store.add_events(events)


def listen(app: FastAPI, options: ServeOptions) -> None:
    """Serves until the process is told to end; answers what has begun first."""
    import uvicorn

    log_to_stderr()
    # What is there now stays. Looking through all of it for garbage, as Python does now and then,
    # takes a fifth of a second or more, in which nobody is answered.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
