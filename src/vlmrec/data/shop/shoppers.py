"""Shoppers with tastes: what they like in words, what they like in pictures, what they buy."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core import columns
from vlmrec.core.random import Streams

LAUNCH = 1_717_200_000
"""When the cold products go on sale: 1 June 2024, 00:00 UTC, in seconds."""
DAY = 86_400

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def liking(codes: IntArray, n_shoppers: int, rng: np.random.Generator) -> FloatArray:
    """Returns ``[U, I]`` how well the products' factors suit each shopper, variance about 1.

    Args:
        codes: ``[I, F] int64`` value number of each factor.
        n_shoppers: Number of shoppers U.
        rng: Draws one normal liking for each shopper, factor and value.
    """
    n_factors = codes.shape[1]
    total = np.zeros((n_shoppers, len(codes)), dtype=np.float32)
    for factor in range(n_factors):
        values = codes[:, factor]
        likes = rng.standard_normal((n_shoppers, int(values.max()) + 1), dtype=np.float32)
        total += likes[:, values]
    return (total / np.sqrt(n_factors)).astype(np.float32)


def purchases(
    preference: FloatArray, cold: NDArray[np.bool_], counts: tuple[int, int], streams: Streams
) -> tuple[list[IntArray], list[IntArray]]:
    """Returns the products each shopper buys, oldest first, and when.

    Nobody buys twice. Products are drawn with probability proportional to
    exp(preference); the last purchase falls after `LAUNCH`, when cold products are on sale too.

    Args:
        preference: ``[U, I]`` log-odds, as scaled by the sharpness of taste.
        cold: ``[I] bool`` products that are on sale from `LAUNCH` only.
        counts: Fewest and most purchases of a shopper.
        streams: Random streams.
    """
    rng = streams.numpy("shop", "purchases")
    bought: list[IntArray] = []
    moments: list[IntArray] = []
    for row in preference:
        n_events = int(rng.integers(counts[0], counts[1] + 1))
        # The largest Gumbel-perturbed log-odds are a draw without replacement.
        perturbed = row + rng.gumbel(size=len(row))
        early = np.argsort(np.where(cold, -np.inf, perturbed))[::-1][: n_events - 1]
        perturbed = row + rng.gumbel(size=len(row))
        perturbed[early] = -np.inf
        items = np.append(rng.permutation(early), perturbed.argmax())
        before = LAUNCH - rng.integers(DAY, 300 * DAY, n_events - 1)
        after = LAUNCH + rng.integers(0, 14 * DAY)
        bought.append(items.astype(np.int64))
        moments.append(np.append(np.sort(before), after).astype(np.int64))
    return bought, moments


def as_frame(bought: list[IntArray], moments: list[IntArray], item_ids: list[str]) -> pl.DataFrame:
    """Returns the interactions table, in order of time."""
    users = [f"C{number:05d}" for number, items in enumerate(bought, 1) for _ in items]
    table = pl.DataFrame(
        {
            columns.USER_ID: users,
            columns.ITEM_ID: [item_ids[int(item)] for items in bought for item in items],
            columns.TIMESTAMP: [int(moment) for row in moments for moment in row],
        }
    )
    return table.sort(columns.TIMESTAMP, maintain_order=True)
