"""The views of a model that are compared: content taken away, swapped between items, made noise.

Each view is a frozen ranker of its own. All of them are planned here by name, so that every
part of the report card speaks of the same views and none is computed twice.
"""

from collections.abc import Mapping, Sequence

from vlmrec.core.content_change import ContentChange, dealt_anew, taken_away
from vlmrec.core.random import Streams

BOTH = "both"
"""The model as it is."""
NOTHING = "nothing"
"""No item has a text or a picture."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Points of the curves: share of items without a modality, share of noise in its content."""
OTHER = {"text": "image", "image": "text"}

Changes = Mapping[str, ContentChange]


def only(modality: str, modalities: Sequence[str]) -> str:
    """Returns the name of the view in which items have this modality alone."""
    return BOTH if len(modalities) == 1 else f"{modality} only"


def shuffled(modality: str) -> str:
    """Returns the name of the view in which each item shows another item's text or picture."""
    return f"{modality} shuffled"


def noisy(modality: str, share: float) -> str:
    """Returns the name of the view in which this share of the content is noise."""
    if share == 0:
        return BOTH
    return f"{modality} random" if share == 1 else f"{modality} {share:.0%} noise"


def missing(modality: str, share: float, modalities: Sequence[str]) -> str:
    """Returns the name of the view in which this share of all items lacks the modality."""
    if share == 0:
        return BOTH
    if share == 1:
        return NOTHING if len(modalities) == 1 else only(OTHER[modality], modalities)
    return f"{modality} {share:.0%} missing"


def plan_views(
    modalities: Sequence[str], n_items: int, streams: Streams, *, curves: bool = True
) -> dict[str, Changes]:
    """Returns the changes of content behind each view, by name.

    The items that lack a modality at 25 % are among those that lack it at 50 %, and noise is the
    same noise at every share, so that a curve is not bent by the luck of the draw.

    Args:
        modalities: What the model reads: "text", "image" or both.
        n_items: Number of items I.
        streams: Source of randomness.
        curves: Also plan the points between nothing and all of missing and noisy content.
    """
    views: dict[str, Changes] = {BOTH: {}}
    absent = {name: ContentChange.absent(n_items) for name in modalities}
    for name in modalities:
        others = {one: absent[one] for one in modalities if one != name}
        views[only(name, modalities)] = others
    for name in modalities:
        views[shuffled(name)] = {
            name: ContentChange(dealt_anew(n_items, 1.0, streams.numpy("shuffled", name)))
        }
    for name in modalities:
        views[noisy(name, 1.0)] = {name: _noise(name, 1.0, streams)}
    views[NOTHING] = absent
    for name in modalities if curves else ():
        for share in SHARES[1:-1]:
            shown = taken_away(n_items, share, streams.numpy("missing", name))
            views[missing(name, share, modalities)] = {name: ContentChange(shown)}
        for share in SHARES[1:-1]:
            views[noisy(name, share)] = {name: _noise(name, share, streams)}
    return views


def _noise(modality: str, share: float, streams: Streams) -> ContentChange:
    return ContentChange(noise=share, seed=streams.child_seed("noise", modality))
