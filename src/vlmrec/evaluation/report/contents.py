"""What a report says, as plain data; nothing here knows of models or files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vlmrec.evaluation.significance import Estimate


@dataclass(frozen=True)
class MetricRow:
    """One line of a table of results.

    Attributes:
        name: The model, or the group of cases.
        metrics: Mean and interval by metric name; rows of a table share the names.
        note: A few words under the name.
        details: How it came about, shown in a second table: loss, negatives, max_len, seeds,
            epochs, time.
    """

    name: str
    metrics: Mapping[str, Estimate]
    note: str = ""
    details: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class LearningCurve:
    """The validation metric over training.

    Attributes:
        name: The model.
        epochs: Epoch of each measurement, rising.
        values: The metric at that epoch.
        seeds: Where the values are means over seeds: the curve of each.
        colour: Number of its colour, from 1; 0 takes the next one.
    """

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    seeds: "tuple[LearningCurve, ...]" = ()
    colour: int = 0


@dataclass(frozen=True)
class ItemCard:
    """An item as people see it.

    Attributes:
        item_id: External id.
        title: Title, or empty.
        picture: An encoded picture (JPEG, PNG, ...), or None.
        caption: A few words under the title, such as a price.
    """

    item_id: str
    title: str
    picture: bytes | None = None
    caption: str = ""


@dataclass(frozen=True)
class ExamplePerson:
    """One test user: what they had, what each model would recommend, what they took.

    Attributes:
        name: What to call the user.
        history: Oldest first.
        truth: What the user took next.
        recommendations: Model -> items, best first.
        note: A sentence about the user, or empty.
        ranks: Model -> rank of what came next, from 1; halves where scores tie.
    """

    name: str
    history: tuple[ItemCard, ...]
    truth: ItemCard
    recommendations: Mapping[str, tuple[ItemCard, ...]]
    note: str = ""
    ranks: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class TaughtAnswer:
    """A question that was not learned from, with its answer and the model's.

    Attributes:
        shown: Items in the question, oldest first.
        expected: The answer.
        given: What the model says.
    """

    shown: tuple[ItemCard, ...]
    expected: str
    given: str


@dataclass(frozen=True)
class TaughtTask:
    """One kind of question that a model was taught to answer.

    Attributes:
        name: In words.
        n_learned: Examples that were learned from.
        n_held_out: Examples that were not.
        losses: Of the held-out answers: column -> nats, None where unknown; tasks of a report
            share the columns.
        remark: What a reader must know of these figures, or empty.
        answers: Some held-out ones, drawn at random.
        longest: After how many tokens a given answer is cut off; 0 where none is.
    """

    name: str
    n_learned: int
    n_held_out: int
    losses: Mapping[str, float | None]
    remark: str = ""
    answers: tuple[TaughtAnswer, ...] = ()
    longest: int = 0


@dataclass(frozen=True)
class RunReport:
    """Everything about one trained model.

    Attributes:
        title: Heading.
        summary: One or two sentences under it.
        facts: About the dataset and the run: label -> value.
        protocol: How the figures were measured, one sentence: ranking, filter, ties, cases.
        settings: What else a reader must know to compare: loss, negatives, max_len, seeds.
        rows: The model first, then what it is compared with.
        slices: The same model on groups of cases.
        curve: Validation metric over training, if there was any.
        curve_metric: Which metric that is.
        taught: What it was taught to say, if anything.
        people: Example users.
        config: The full configuration as text (YAML or JSON).
        confidence: Of the intervals.
    """

    title: str
    protocol: str
    rows: tuple[MetricRow, ...]
    summary: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    slices: tuple[MetricRow, ...] = ()
    curve: LearningCurve | None = None
    curve_metric: str = "NDCG@10"
    taught: tuple[TaughtTask, ...] = ()
    people: tuple[ExamplePerson, ...] = ()
    config: str = ""
    confidence: float = 0.95


@dataclass(frozen=True)
class Aside:
    """A further table on other data, with what it shows.

    Attributes:
        title: Heading.
        text: A few sentences under it.
        caption: How the figures were measured.
        rows: Of the table; the first metric is drawn.
    """

    title: str
    text: str
    caption: str
    rows: tuple[MetricRow, ...]


@dataclass(frozen=True)
class ComparisonReport:
    """Many models on the same cases.

    Attributes:
        title: Heading.
        summary: One or two sentences under it.
        facts: About the dataset: label -> value.
        protocol: How the figures were measured, one sentence.
        rows: One a model, in the order of the table.
        slices: Further tables of the same models, by name of the group of cases.
        lead_metric: The metric that is drawn and by which the best is named.
        curves: Validation metric over training, one a model that was trained.
        curve_metric: Which metric that is.
        people: Example users with the lists of all models.
        remarks: What the figures mean and do not mean, one sentence each.
        asides: Further tables on other data.
        confidence: Of the intervals.
    """

    title: str
    protocol: str
    rows: tuple[MetricRow, ...]
    summary: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    slices: Mapping[str, tuple[MetricRow, ...]] = field(
        default_factory=dict[str, tuple[MetricRow, ...]]
    )
    lead_metric: str = "NDCG@10"
    curves: tuple[LearningCurve, ...] = ()
    curve_metric: str = "NDCG@10"
    people: tuple[ExamplePerson, ...] = ()
    remarks: tuple[str, ...] = ()
    asides: tuple[Aside, ...] = ()
    confidence: float = 0.95
