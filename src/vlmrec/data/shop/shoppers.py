"""Shoppers with tastes: what they like in words, what they like in pictures, what they buy."""

from collections.abc import Sequence

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


def liking(
    codes: IntArray, shares: Sequence[float], n_shoppers: int, rng: np.random.Generator
) -> FloatArray:
    """Returns ``[U, I]`` how well the products' factors suit each shopper, variance about 1.

    Args:
        codes: ``[I, F] int64`` value number of each factor.
        shares: How much of the variance each of the F factors makes up; they sum to 1.
        n_shoppers: Number of shoppers U.
        rng: Draws one normal liking for each shopper, factor and value.
    """
    total = np.zeros((n_shoppers, len(codes)), dtype=np.float32)
    for factor, share in enumerate(shares):
        values = codes[:, factor]
        likes = rng.standard_normal((n_shoppers, int(values.max()) + 1), dtype=np.float32)
        total += np.float32(np.sqrt(share)) * likes[:, values]
    return total


def purchases(
    preference: FloatArray,
    cold: NDArray[np.bool_],
    cold_share: float,
    counts: tuple[int, int],
    streams: Streams,
) -> tuple[list[IntArray], list[IntArray]]:
    """Returns the products each shopper buys, oldest first, and when.

    Nobody buys twice. Products are drawn with probability proportional to
    exp(preference); only the last purchase falls after `LAUNCH` and can be a cold product.

    Args:
        preference: ``[U, I]`` log-odds, as scaled by the sharpness of taste.
        cold: ``[I] bool`` products that are on sale from `LAUNCH` only.
        cold_share: Share of shoppers whose last purchase is a cold product, if there are any.
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
        items = rng.permutation(np.argsort(np.where(cold, -np.inf, perturbed))[-n_events:])
        if rng.random() < cold_share and cold.any():
            items[-1] = np.where(cold, perturbed, -np.inf).argmax()
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
