"""What goes into the database and comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """Something a person did with an item.

    Attributes:
        user_id: Who.
        item_id: With what.
        timestamp: When, seconds UTC.
        event: What: "click", "purchase", ...
        event_id: The client's own number of it; sent twice it is stored once.
        recommendation_id: The list it came from.
    """

    user_id: str
    item_id: str
    timestamp: int
    event: str = "click"
    event_id: str | None = None
    recommendation_id: str | None = None


@dataclass(frozen=True)
class StoredItem:
    """An item as it was last given, or that it was removed.

    Attributes:
        item_id: Which.
        fields: Its columns: ``title``, ``description``, ...
        picture: The bytes of its picture file.
        removed: It must not be recommended any more.
        change: Number of the change that made it so.
    """

    item_id: str
    fields: Mapping[str, object] = field(default_factory=dict)
    picture: bytes | None = None
    removed: bool = False
    change: int = 0


@dataclass(frozen=True)
class Shown:
    """A list that was recommended.

    Attributes:
        recommendation_id: Its name, under which feedback comes.
        user_id: To whom, None where nobody was named.
        items: Item ids, best first.
        run: Identity of the run that made it.
        timestamp: When, seconds UTC.
    """

    recommendation_id: str
    user_id: str | None
    items: tuple[str, ...]
    run: str
    timestamp: int


@dataclass(frozen=True)
class Changes:
    """What is new since a change that a server knew of.

    Attributes:
        latest: Number of the latest change.
        items: As they are now.
        run: Folder of the run to be served, None where it did not change.
    """

    latest: int
    items: tuple[StoredItem, ...]
    run: str | None
