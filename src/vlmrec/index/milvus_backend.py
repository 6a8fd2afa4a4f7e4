"""Proposals of a Milvus server: a graph (HNSW) over keys that are stored there."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.index.milvus_collection import ITEM, KEY, fill, require_ready
from vlmrec.index.milvus_server import connected, explained, require_client

_MOST = 16_384
"""Items that a server lists at most for one query."""
_LISTED_AT_A_TIME = 1 << 19
"""Items of all queries that one answer lists; a few MiB."""
_BUILDING_SECONDS = 120.0
"""A server that has just taken in a catalogue may be slow for a while."""


class MilvusOptions(StrictConfig):
    """Where the keys are and how they are searched."""

    url: str
    """Address of the server; no password in it."""
    collection: str
    """Holds these keys and no others: its name ends with the beginning of their SHA-256."""
    neighbours: int = Field(default=32, ge=2)
    """Edges an item has in the graph; twice as many on its lowest level."""
    built_with: int = Field(default=128, ge=1)
    """Candidates that are looked at when an item is added."""
    searched_with: int = Field(default=128, ge=1)
    """Candidates a search keeps; more find more and take longer."""
    spare: float = Field(default=2.0, ge=1)
    """Proposed items, as a multiple of those wanted."""
    patience: float = Field(default=2.0, gt=0)
    """Seconds that an answer may take before every item is scored without the server."""


class MilvusBackend:
    """A collection of Milvus; satisfies `vlmrec.index.approximate.Backend`.

    It raises when the server is away; `vlmrec.index.watched.WatchedBackend` does not.

    Args:
        options: Where the keys are and how they are searched.
        keys: ``[I + 1, W]`` what the collection holds, without the padding.
        secret: Token of the server, or empty.
        seconds: That an answer may take; default: what the options say.

    Raises:
        MissingExtraError: The client of Milvus is not installed.
    """

    def __init__(
        self,
        options: MilvusOptions,
        keys: Tensor,
        secret: str = "",
        seconds: float | None = None,
    ) -> None:
        require_client()
        self.options = options
        self._keys = keys
        self._secret = secret
        self._seconds = options.patience if seconds is None else seconds
        self._client: Any = None

    @property
    def width(self) -> int:
        """Numbers W of a key."""
        return self._keys.shape[1]

    @property
    def spare(self) -> float:
        """How many items are to be asked for, as a multiple of those wanted."""
        return self.options.spare

    @classmethod
    def build(cls, keys: Tensor, options: MilvusOptions, secret: str = "") -> "MilvusBackend":
        """Returns a backend whose collection holds ``keys [I + 1, W]``, without the padding.

        Raises:
            MissingExtraError: The client of Milvus is not installed.
            IndexServerError: The server does not answer.
            ArtifactError: The collection is there and is not ours.
        """
        built = cls(options, keys, secret, _BUILDING_SECONDS)
        built._client = connected(options.url, secret)
        graph = {"M": options.neighbours, "efConstruction": options.built_with}
        with explained(options.url):
            fill(built._client, options.collection, keys, graph)
        return built

    def longer(self, times: int) -> "MilvusBackend":
        """Returns the same collection, searched so many times as long."""
        options = self.options
        more = {
            "searched_with": options.searched_with * times,
            "spare": options.spare * times,
        }
        longer = MilvusBackend(
            options.model_copy(update=more), self._keys, self._secret, self._seconds
        )
        longer._client = self._client
        return longer

    def check(self) -> None:
        """Connects anew and compares the collection with the keys.

        Raises:
            IndexServerError: The server does not answer.
            ArtifactError: The collection is missing or holds something else.
        """
        client = connected(self.options.url, self._secret)
        try:
            with explained(self.options.url):
                require_ready(client, self.options.collection, self._keys)
        except BaseException:
            client.close()
            raise
        self.close()
        self._client = client

    def close(self) -> None:
        """Closes the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def propose(self, queries: Tensor, n: int, allowed: Tensor | None) -> Tensor:
        """Returns ``[B, n] int64`` internal ids, see `vlmrec.index.approximate.Backend`.

        Raises:
            IndexServerError: The server does not answer.
        """
        if self._client is None:
            self.check()
        asked = self._asked(n, allowed)
        # What is no number is refused with the scores, not by the server.
        rows = torch.nan_to_num(queries.detach().cpu().float(), 0.0, 0.0, 0.0)
        step = max(1, _LISTED_AT_A_TIME // asked)
        parts = [self._search(rows[i : i + step], asked) for i in range(0, len(rows), step)]
        proposed = torch.cat(parts)
        if allowed is None:
            return proposed
        proposed.masked_fill_(~allowed[proposed], 0)
        first = (proposed == 0).to(torch.uint8).sort(dim=1, stable=True).indices
        return proposed.gather(1, first[:, :n])

    def _asked(self, n: int, allowed: Tensor | None) -> int:
        """Returns how many to ask for so that about n of them are allowed.

        Sending the server which ids are allowed takes longer than its search does.
        """
        known = len(self._keys) - 1
        if allowed is not None:
            possible = int(allowed[1 : known + 1].sum())
            n = min(n + known - possible, int(1.5 * n * known / max(1, possible)) + 1)
        return max(1, min(n, known, _MOST))

    def _search(self, queries: Tensor, n: int) -> Tensor:
        options = self.options
        with explained(options.url):
            found = self._client.search(
                options.collection,
                data=list(queries.numpy()),
                anns_field=KEY,
                limit=n,
                search_params={
                    "metric_type": "IP",
                    "params": {"ef": max(options.searched_with, n)},
                },
                consistency_level="Eventually",  # nothing is written any more
                timeout=self._seconds,
            )
        items = torch.zeros(len(queries), n, dtype=torch.int64)
        for row, hits in enumerate(found):
            ids = torch.tensor([hit[ITEM] for hit in hits][:n], dtype=torch.int64)
            items[row, : len(ids)] = ids
        return items.masked_fill((items < 1) | (items >= len(self._keys)), 0)
