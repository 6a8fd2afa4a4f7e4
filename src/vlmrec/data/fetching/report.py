"""What a call of the fetcher did, and how the folder stands after it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from vlmrec.data.fetching.status_table import ImageStatus, Status

_REASONS = 8


@dataclass(frozen=True)
class FetchReport:
    """Figures of one call.

    Attributes:
        with_address: Items that have an address of a picture.
        own: Items among them whose picture was in the folder without us.
        statuses: Of the others, how many have which status now.
        not_asked: Of the others, how many were never asked for: the call was interrupted.
        fetched_now: Items whose picture came in this call.
        bytes_now: The bytes of these pictures.
        requests_now: Requests of this call, redirects and repetitions included.
        reasons: The most frequent reasons why there is no picture, and of how many items.
        fingerprint: Of the dataset as it is now.
    """

    with_address: int
    own: int
    statuses: dict[str, int]
    not_asked: int
    fetched_now: int
    bytes_now: int
    requests_now: int
    reasons: dict[str, int]
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as they are printed in JSON."""
        return asdict(self)


def count_statuses(known: Mapping[str, ImageStatus]) -> dict[str, int]:
    """Returns how many items have which status; each status is named."""
    counts = Counter(status.status for status in known.values())
    return {name: counts[name] for name in get_args(Status)}


def frequent_reasons(known: Mapping[str, ImageStatus]) -> dict[str, int]:
    """Returns the most frequent reasons for having no picture, most frequent first."""
    reasons = Counter(f"{one.status}: {one.reason}" for one in known.values() if one.reason)
    return dict(reasons.most_common(_REASONS))
