"""The HTML reports: complete, escaped, self-contained, readable without eyes or pictures."""

import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.evaluation.report import (
    Aside,
    ComparisonReport,
    ExamplePerson,
    ItemCard,
    LearningCurve,
    MetricRow,
    RunReport,
    TaughtAnswer,
    TaughtTask,
    write_comparison_report,
    write_run_report,
)
from vlmrec.evaluation.report.charts import line_chart, nice_ticks, spread
from vlmrec.evaluation.report.tables import table
from vlmrec.evaluation.report.thumbnails import EDGE, thumbnail_uri
from vlmrec.evaluation.significance import Estimate

HOSTILE = "<script>alert('x')</script>\"'><img src=http://evil.example/x onerror=y>"
VOID = {"meta", "img", "link", "br", "hr", "input"}


def picture(mode: str = "RGB", size: tuple[int, int] = (400, 300), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, 128 if mode in "LI" else None).save(target, kind)
    return target.getvalue()


def estimate(mean: float) -> Estimate:
    return Estimate(mean, mean - 0.01, mean + 0.01)


def row(name: str, mean: float) -> MetricRow:
    metrics = {"NDCG@10": estimate(mean), "Recall@10": estimate(2 * mean)}
    return MetricRow(name, metrics, details={"loss": "bce", "max_len": "50"})


TRUTH = ItemCard("t1", "The truth", picture())
PERSON = ExamplePerson(
    name="Shopper 1",
    history=(ItemCard("h1", "Had before", picture()), ItemCard("h2", "", None)),
    truth=TRUTH,
    recommendations={
        "good": (ItemCard("o1", "Other", b"not a picture"), TRUTH),
        "bad": (ItemCard("o1", "Other"),),
    },
)
COMPARISON = ComparisonReport(
    title="A shop",
    protocol="full ranking of 500 items, seen items not filtered, ties count half, 2,000 cases",
    rows=(row("weak", 0.05), row("strong", 0.09)),
    slices={"Cold items": (row("weak", 0.01), row("strong", 0.02))},
    curves=(LearningCurve("strong", (1, 2, 3), (0.05, 0.08, 0.07)),),
    people=(PERSON,),
    remarks=("A remark.",),
)
RUN = RunReport(
    title="A run",
    protocol=COMPARISON.protocol,
    settings={"Loss": "bce", "Negatives": "1 uniform", "max_len": "50", "Seed": "0"},
    rows=COMPARISON.rows,
    slices=(row("cold", 0.02),),
    curve=COMPARISON.curves[0],
    people=(PERSON,),
    config="dim: 64",
)


class Page(HTMLParser):
    """Collects elements and fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def compared(report: ComparisonReport, folder: Path) -> tuple[str, Page]:
    write_comparison_report(folder / "report.html", report)
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


def told(report: RunReport, folder: Path) -> tuple[str, Page]:
    write_run_report(folder / "report.html", report)
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


def test_comparison_says_what_was_measured_and_how(tmp_path: Path) -> None:
    text, page = compared(COMPARISON, tmp_path)
    assert text.count(COMPARISON.protocol) >= 2  # under each table
    for figure in ("0.0500", "0.0900", "0.0800 to 0.1000", "0.0200"):
        assert figure in page.words
    assert "bce" in page.words
    assert "A remark." in page.words
    assert "Intervals are 95 % bootstrap" in text


def test_run_report_states_settings_slices_curve_and_configuration(tmp_path: Path) -> None:
    text, page = told(RUN, tmp_path)
    assert "Loss: bce. Negatives: 1 uniform. max_len: 50. Seed: 0." in text
    assert {"cold", "dim: 64"} <= set(page.words)
    assert "strong: best 0.0800 at epoch 2, last 0.0700 at epoch 3" in text


def test_only_the_best_of_a_column_is_marked() -> None:
    shown = table((row("weak", 0.05), row("strong", 0.09)), "Recall@10", mark_best=True)
    assert shown is not None
    assert shown.metrics == ("Recall@10", "NDCG@10")
    assert [[cell.best for cell in line.cells] for line in shown.lines] == [[False] * 2, [True] * 2]
    strong = shown.lines[1].bar
    assert strong is not None
    assert (strong.high, strong.mean) == (100.0, round(100 * 0.18 / 0.19, 2))


def test_empty_cells_are_dashes_not_numbers(tmp_path: Path) -> None:
    nothing = MetricRow("empty group", {"NDCG@10": Estimate(math.nan, math.nan, math.nan)})
    _, page = told(replace(RUN, slices=(nothing,)), tmp_path)
    assert "nan" not in page.words
    assert "–" in page.words  # noqa: RUF001


@pytest.mark.parametrize("write", [compared, told])
def test_whatever_a_catalogue_holds_is_escaped(write: object, tmp_path: Path) -> None:
    card = ItemCard(HOSTILE, HOSTILE, None, HOSTILE)
    person = ExamplePerson(HOSTILE, (card,), card, {HOSTILE: (card,)}, HOSTILE)
    hostile = MetricRow(HOSTILE, {HOSTILE: estimate(0.1)}, HOSTILE, {HOSTILE: HOSTILE})
    curve = LearningCurve(HOSTILE, (1,), (0.1,))
    answer = TaughtAnswer((card, card), HOSTILE, HOSTILE)
    task = TaughtTask(HOSTILE, 1, 1, {HOSTILE: 1.0}, HOSTILE, (answer,))
    if write is compared:
        text, page = compared(
            ComparisonReport(
                HOSTILE, HOSTILE, (hostile,), HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: (hostile,)},
                HOSTILE, (curve,), HOSTILE, (person,), (HOSTILE,),
            ),
            tmp_path,
        )  # fmt: skip
    else:
        text, page = told(
            RunReport(
                HOSTILE, HOSTILE, (hostile,), HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE},
                (hostile,), curve, HOSTILE, (task,), (person,), HOSTILE,
            ),
            tmp_path,
        )  # fmt: skip
    assert "<script" not in text
    assert not page.all("script")
    assert not page.all("img")
    assert not any("onerror" in attributes for _, attributes in page.elements)


@pytest.mark.parametrize("write", [compared, told])
def test_page_asks_nothing_of_anybody(write: object, tmp_path: Path) -> None:
    text, page = compared(COMPARISON, tmp_path) if write is compared else told(RUN, tmp_path)
    for name in ("src", "href"):
        found = [attributes[name] for _, attributes in page.elements if name in attributes]
        assert all(value.startswith(("data:image/jpeg", "#")) for value in found)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "default-src 'none'" in text


def test_pictures_and_tables_speak(tmp_path: Path) -> None:
    _, page = compared(COMPARISON, tmp_path)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("img")) == 3  # one in the history, the truth, and the truth found
    assert all(image["alt"] for image in page.all("img"))
    blanks = [a for a in page.all("span") if a.get("class") == "blank"]
    assert [blank["aria-label"] for blank in blanks] == [
        "h2: no picture", "Other: no picture", "Other: no picture",
    ]  # fmt: skip
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header.get("scope") in {"col", "row"} for header in page.all("th"))
    chart = next(svg for svg in page.all("svg") if svg.get("class") == "chart")
    assert chart["role"] == "img"


def test_the_truth_is_marked_where_it_was_found(tmp_path: Path) -> None:
    _, page = compared(COMPARISON, tmp_path)
    assert "found at place 2" in page.words
    assert "not among the first 1" in page.words
    assert sum(a.get("class") == "card hit" for a in page.all("figure")) == 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16"])
def test_thumbnails_are_small_jpegs_of_any_picture(mode: str) -> None:
    uri = thumbnail_uri(picture(mode))
    assert uri is not None
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 8000
    assert EDGE >= 100


def test_unreadable_pictures_cost_nothing_but_themselves() -> None:
    assert thumbnail_uri(None) is None
    assert thumbnail_uri(b"") is None
    assert thumbnail_uri(b"GIF89a rubbish") is None
    assert thumbnail_uri(picture()[:60]) is None


def test_chart_keeps_to_its_frame_and_survives_odd_curves() -> None:
    odd = (
        LearningCurve("one epoch", (1,), (0.2,)),
        LearningCurve("with a gap", (1, 2, 3), (0.1, math.nan, 0.3)),
        LearningCurve("empty", (), ()),
        LearningCurve("flat", (1, 9), (0.0, 0.0)),
    )
    chart = line_chart(odd)
    assert chart is not None
    assert [line.name for line in chart.lines] == ["one epoch", "with a gap", "flat"]
    for line in chart.lines:
        for point in line.points.split():
            x, y = map(float, point.split(","))
            assert chart.left <= x <= chart.right
            assert chart.top <= y <= chart.bottom
    assert line_chart(()) is None
    assert line_chart((odd[2],)) is None


def test_ticks_span_the_values() -> None:
    for low, high in ((0.0, 0.037), (0.0, 1.0), (3.0, 3.0), (1.0, 200.0), (-0.2, 0.7), (0.0, 0.0)):
        ticks = nice_ticks(low, high, 5)
        assert ticks[0] <= low + 1e-9
        assert ticks[-1] >= high - 1e-9
        assert 2 <= len(ticks) <= 10


def test_labels_never_overlap() -> None:
    places = spread([5, 5, 5, 90], 10, 0, 100)
    assert sorted(places) == places
    assert all(b - a >= 10 for a, b in pairwise(places))


def test_an_aside_has_its_own_table_and_nothing_of_it_is_taken_for_html(tmp_path: Path) -> None:
    aside = Aside(f"Aside {HOSTILE}", "What it shows.", "How it was.", (row("other", 0.04),))
    text, page = compared(replace(COMPARISON, asides=(aside,)), tmp_path)
    assert {"What it shows.", "other", "0.0400"} <= set(page.words)
    assert "How it was." in text
    assert "<script>alert" not in text
    plain = compared(COMPARISON, tmp_path)[1]
    assert len(page.all("table")) == len(plain.all("table")) + 2  # figures, how they came about


def test_report_without_extras_is_still_a_page(tmp_path: Path) -> None:
    _, page = compared(ComparisonReport("Bare", "protocol", ()), tmp_path)
    assert not page.all("table")
    _, page = told(RunReport("Bare", "protocol", (row("one", 0.1),)), tmp_path)
    assert len(page.all("table")) == 2  # results and how they came about


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="a folder was expected"):
        write_run_report(tmp_path / "file" / "report.html", RUN)
