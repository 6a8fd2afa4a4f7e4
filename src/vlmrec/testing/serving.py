"""A run behind HTTP, for tests that ask it as a client would."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlmrec.pipeline.run import Run


@contextmanager
def served(run: Run) -> "Generator[ServedRun]":
    """Serves a run within this process while the block lasts."""
    from fastapi.testclient import TestClient

    from vlmrec.serve.app import create_app
    from vlmrec.serve.live import go_live
    from vlmrec.serve.options import ServeOptions
    from vlmrec.serve.service import Service
    from vlmrec.serve.store.store import open_store

    with tempfile.TemporaryDirectory(prefix="vlmrec-served-") as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'x.db'}")
        service = Service(go_live(run), store, ServeOptions(), lambda path: go_live(Run.load(path)))
        with TestClient(create_app(service), "http://127.0.0.1") as client:
            yield ServedRun(client, run.items.height)


class ServedRun:
    """Asks a served run.

    Args:
        client: Sends requests.
        n_items: How many items there are.
    """

    def __init__(self, client: Any, n_items: int) -> None:
        self._client = client
        self._n_items = n_items

    def scores(self, history: Sequence[str]) -> dict[str, float]:
        """Returns the score of every item after a history, as far as lists are long."""
        asked = {"history": list(history), "k": min(500, self._n_items), "keep_seen": True}
        answer = self._client.post("/recommend", json=asked)
        answer.raise_for_status()
        return {one["item_id"]: one["score"] for one in answer.json()["items"]}
