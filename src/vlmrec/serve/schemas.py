"""What goes over the wire: bodies of requests and answers, checked and documented by type."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_ITEMS = 500
"""Longest list that is given at once."""
_LONGEST_HISTORY = 1000
_MOST_EVENTS = 1000
_MOST_REQUESTS = 256


def _storable(text: str) -> str:
    """Refuses text that no database can hold: half a character, or the character 0."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a character (a lone surrogate)") from None
    if "\x00" in text:
        raise ValueError("holds the character 0")
    return text


Identifier = Annotated[
    str, Field(min_length=1, max_length=256, examples=["i042"]), AfterValidator(_storable)
]
ShortText = Annotated[str, Field(max_length=64), AfterValidator(_storable)]
Expression = Annotated[
    str,
    Field(max_length=2000, examples=['genres has "Comedy" and year >= 1990']),
    AfterValidator(_storable),
]


class Closed(BaseModel):
    """A body in which an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Limiting(Closed):
    """Which items a list may hold."""

    k: int = Field(default=10, ge=1, le=MOST_ITEMS)
    """How many items."""
    filter: Expression | None = None
    """Only items whose attributes satisfy this expression."""
    allow: list[Identifier] | None = Field(default=None, max_length=10_000)
    """Only these items."""
    deny: list[Identifier] = Field(default=[], max_length=10_000)
    """None of these items."""


class Promotion(Closed):
    """Items that get places of their own."""

    items: list[Identifier] = Field(default=[], max_length=10_000)
    """Which."""
    filter: Expression | None = None
    """Or: those that satisfy this expression."""
    share: float = Field(default=0.2, gt=0, lt=1)
    """Of the places: of the first p, floor(p * share) are theirs."""


class RecommendRequest(Limiting):
    """Who wants a list of what."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "u17", "k": 5}, {"history": ["i03", "i11"]}]}
    )

    user_id: Identifier | None = None
    """Whose stored events are the history."""
    history: list[Identifier] = Field(default=[], max_length=_LONGEST_HISTORY)
    """Items of this visit, oldest first; they come after the stored ones."""
    keep_seen: bool = False
    """Items of the history may be recommended again."""
    diversity: float = Field(default=0.0, ge=0, le=1)
    """0 ranks by score alone; more keeps items apart that resemble each other."""
    promote: Promotion | None = None
    """Items that get places of their own."""
    modality: Literal["text", "image"] | None = None
    """Only words, or only pictures, are read, and items without them are left out; for looking
    into a model that reads both."""


class BatchRequest(Closed):
    """Many wishes at once."""

    requests: list[RecommendRequest] = Field(min_length=1, max_length=_MOST_REQUESTS)


class SimilarRequest(Limiting):
    """Items like another one."""

    item_id: Identifier


class RerankRequest(Closed):
    """A given list in the order of a person's taste."""

    user_id: Identifier | None = None
    """Whose stored events are the history."""
    history: list[Identifier] = Field(default=[], max_length=_LONGEST_HISTORY)
    """Items of this visit, oldest first."""
    items: list[Identifier] = Field(min_length=1, max_length=MOST_ITEMS)
    """The list; items that are not known come last, in the order given."""


class Recommended(Closed):
    """An item of a list."""

    item_id: str
    title: str | None
    score: float
    rank: int
    has_picture: bool
    promoted: bool = False


class Recommendation(Closed):
    """A list."""

    recommendation_id: str
    """To be sent with events that come of it."""
    items: list[Recommended]
    """Best first."""
    unknown_items: list[str]
    """Items of the history that the run does not know; they were passed over."""
    fallback: str | None
    """"popularity" where nothing is known of the person's taste."""
    run: str
    """Which run made it."""


class BatchAnswer(Closed):
    """Lists, in the order of the wishes."""

    answers: list[Recommendation]


class ExplainRequest(Closed):
    """Why is this item recommended to this person?"""

    item_id: Identifier
    user_id: Identifier | None = None
    """Whose stored events are the history."""
    history: list[Identifier] = Field(default=[], max_length=_LONGEST_HISTORY)
    """Items of this visit, oldest first."""


class SharesOut(Closed):
    """What each part adds to the score; together they are the score."""

    text: float
    image: float
    rest: float
    """What the score is without words and pictures."""


class ClickOut(Closed):
    """An item of the history."""

    item_id: str
    title: str | None
    added: float
    """How much higher the score is with this click than without."""
    rank_without: int
    """Without this click the item would stand at this place."""


class NearOut(Closed):
    """The item of the history that is nearest by words, or by picture."""

    item_id: str
    title: str | None
    cosine: float


class ExplanationOut(Closed):
    """Why an item stands where it stands."""

    item_id: str
    score: float
    rank: int
    """Among all items that the history does not hold."""
    shares: SharesOut | None
    """None where the model does not read both words and pictures."""
    clicks: list[ClickOut]
    """The most helpful first."""
    nearest: dict[str, NearOut]
    """By "text" and "image"."""


class EventIn(Closed):
    """Something a person did with an item."""

    user_id: Identifier
    item_id: Identifier
    timestamp: int | None = Field(default=None, ge=0, le=1 << 40)
    """Seconds UTC; now, where it is left out."""
    event: ShortText = Field(default="click", min_length=1)
    event_id: Annotated[str, Field(max_length=128), AfterValidator(_storable)] | None = None
    """Your own number of it: an event sent twice is stored once."""
    recommendation_id: ShortText | None = None
    """The list that it came of."""


class EventsRequest(Closed):
    """Events; all are stored, or none."""

    events: list[EventIn] = Field(min_length=1, max_length=_MOST_EVENTS)


class EventsAnswer(Closed):
    """What became of them."""

    stored: int
    """How many are new."""
    already_there: int
    """How many had an `event_id` that was stored before."""
    unknown_items: list[str]
    """Stored as well, though the run does not know them."""


class ItemOut(Closed):
    """An item as it is served."""

    item_id: str
    fields: dict[str, Any]
    has_picture: bool
    recommendable: bool


class ChangeAnswer(Closed):
    """What a change of the catalogue led to."""

    item_id: str
    change: int
    """Number of the change; every server on the database follows."""


class SwapRequest(Closed):
    """Another run to serve."""

    run: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
    """Its folder's name among the runs that may be served."""


class SwapAnswer(Closed):
    """The run that is served now."""

    run: str


class Health(Closed):
    """Whether the process is alive."""

    status: str


class Problem(Closed):
    """What was wrong: what was given, what was expected, what to do."""

    problem: str
    fix: str = ""
