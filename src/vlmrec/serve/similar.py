"""Items that lie next to an item."""

import uuid

import torch

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.inner_product import InnerProduct, as_they_are
from vlmrec.index.exact import search_among
from vlmrec.index.search import Limits, everything
from vlmrec.serve.asking import Answer, Listed
from vlmrec.serve.live import Live
from vlmrec.serve.schemas import SimilarRequest


@torch.inference_mode()
def similar_items(live: Live, request: SimilarRequest) -> Answer:
    """Returns the items with the highest cosine to an item's vector; it is not one of them.

    Raises:
        DataError: There is no such item.
        ConfigError: The filter cannot be read, or the model has no item vectors.
    """
    row = live.rows.get(request.item_id)
    if row is None:
        raise DataError(f"There is no item '{request.item_id}'.")
    if live.vectors is None:
        raise ConfigError("The model that is served has no item vectors to compare.")
    allow = None if request.allow is None else tuple(request.allow)
    allowed = live.allowed(request.filter, allow, tuple(request.deny))
    every = everything(live.ranker.n_items) if allowed is None else allowed
    rows = every.nonzero()[:, 0]
    inner = InnerProduct(live.vectors, as_they_are)
    limits = Limits(excluded=torch.tensor([[row]]))
    k = min(request.k, max(1, len(rows)))
    found = search_among(inner, live.vectors[row][None], rows, k, limits)
    items = tuple(
        Listed(live.names[item], live.titles[item], score, rank, live.names[item] in live.pictures)
        for rank, (item, score) in enumerate(
            zip(found.items[0].tolist(), found.scores[0].tolist(), strict=True), start=1
        )
        if item
    )
    return Answer(uuid.uuid4().hex, items, (), None, live.identity)
