"""What goes over the wire when somebody looks around: the catalogue, people, runs, trials."""

from pydantic import ConfigDict, Field

from vlmrec.serve.schemas import Closed, Identifier, Recommendation, RecommendRequest

MOST_PEOPLE = 1000
"""People whose lists are looked at for one question."""


class ItemCard(Closed):
    """An item as a shelf shows it."""

    item_id: str
    title: str | None
    has_picture: bool


class ShelfOut(Closed):
    """A part of the catalogue, the most frequent of training first."""

    items: list[ItemCard]
    total: int
    """How many items there are of what was asked for."""


class RunOut(Closed):
    """What is served."""

    run: str
    """Identity; changes whenever the run does."""
    model: str
    modalities: list[str]
    """What the model reads of an item: "text", "image"; none where it knows ids alone."""
    n_items: int
    """How many items can be recommended."""
    takes_new_items: bool
    fields: list[str]
    """Attributes that filters may name and new items may have."""
    runs: list[str]
    """Runs that may be compared with or swapped in."""


class UsersOut(Closed):
    """People of the latest events."""

    users: list[str]


class HistoryOut(Closed):
    """What a user did, oldest first."""

    user_id: str
    items: list[ItemCard]
    unknown_items: list[str]
    """Items that the run does not know."""


class ReachRequest(Closed):
    """Whom would this item reach?"""

    item_id: Identifier
    users: int = Field(default=300, ge=1, le=MOST_PEOPLE)
    """How many people of the latest events are looked at."""


class ReachedOut(Closed):
    """A person near whose top the item stands."""

    user_id: str
    rank: int
    history: list[ItemCard]
    """The latest, oldest first."""


class ReachOut(Closed):
    """Whom an item would reach, by its score alone."""

    users: int
    """People who were looked at: they do not have the item yet."""
    in_top: dict[int, float]
    """By length of a list: share of them in whose list it stands."""
    median_rank: float
    """Of the item in their lists; 0 where nobody was looked at."""
    nearest: list[ReachedOut]
    """The people in whose lists it stands highest."""


class TrialOut(Closed):
    """What a product would be, were it in the catalogue."""

    similar: Recommendation
    """What it sits next to."""
    reach: ReachOut


class CompareRequest(RecommendRequest):
    """One wish, answered by two runs."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"run": "sasrec", "history": ["i03", "i11"]}]}
    )

    run: Identifier
    """The other run: its folder's name among the runs that may be served."""


class CompareOut(Closed):
    """Both lists."""

    served: Recommendation
    other: Recommendation
    in_both: int
    """How many items are in both lists."""
