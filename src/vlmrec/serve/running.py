"""Starting a service: from a run folder and options to an application that listens."""

import gc
from pathlib import Path

import numpy as np
from fastapi import FastAPI

from vlmrec.core.errors import ConfigError
from vlmrec.data.dataset import Dataset
from vlmrec.pipeline.encoders import Encoders
from vlmrec.pipeline.run import Run
from vlmrec.serve.app import create_app
from vlmrec.serve.hosts import is_local
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
    encoders = Encoders()  # other runs most often read with the same ones

    def load(one: Path) -> Live:
        table = None if dataset is None else dataset.catalog.table
        images = None if dataset is None else dataset.catalog.root
        return go_live(Run.load(one), attributes=table, images=images, encoders=encoders)

    require_safe(options)
    return Service(load(folder), open_store(options.database), options, load)


def make_app(service: Service) -> FastAPI:
    """Returns the application of a service, with the keys that its options name."""
    keys = service.options.keys
    return create_app(service, None if keys is None else Keys.read(keys))


def require_safe(options: ServeOptions) -> None:
    """Refuses to listen to other machines without keys, and to swap what is nowhere.

    Raises:
        ConfigError: That is what was asked for.
    """
    if options.keys is None and not is_local(options.host):
        raise ConfigError(
            f"The service was to listen on '{options.host}' without keys: everybody who reaches "
            "it could change items.",
            "Give --keys FILE, or leave --host out to serve this machine only.",
        )
    if options.runs is not None and not options.runs.is_dir():
        raise ConfigError(
            f"Runs were to be swapped in from '{options.runs}', which is no folder.",
            "Give the folder that holds the run folders, or leave --runs out.",
        )


def store_history(store: Store, dataset: Dataset) -> int:
    """Stores a dataset's interactions as events; once only, however often it is asked.

    Returns:
        How many are new.
    """
    log, stored = dataset.sequences, 0
    lengths = np.diff(log.offsets)
    users = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    for start in range(0, len(log.items), _EVENTS_AT_A_TIME):
        part = slice(start, start + _EVENTS_AT_A_TIME)
        told = zip(
            dataset.users.to_external(users[part]),
            dataset.items.to_external(log.items[part]),
            log.timestamps[part].tolist(),
            strict=True,
        )
        stored += store.add_events(
            [
                Event(user, item, time, "interaction", f"{dataset.fingerprint}:{place}")
                for place, (user, item, time) in enumerate(told, start)
            ]
        )
    return stored


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
