"""The page of a report card: self-contained, escaped, whole whatever was measured."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.test_diagnosis_planted import card_of
from tests.unit.test_report import HOSTILE, Page, picture

from vlmrec.core.errors import DataError
from vlmrec.diagnosis.page import Gallery, ItemNeighbours, write_card_page
from vlmrec.diagnosis.signals import Signal
from vlmrec.diagnosis.tables import percent, signed
from vlmrec.evaluation.report import ExamplePerson, ItemCard
from vlmrec.evaluation.report.charts import PlottedLine, plot_lines
from vlmrec.evaluation.report.histogram import histogram
from vlmrec.evaluation.significance import Estimate

ITEM = ItemCard("i1", HOSTILE, picture())
GALLERY = Gallery(
    items=(ItemNeighbours(ITEM, {"text": (ITEM, ITEM), "image": (ItemCard("i2", ""),)}),),
    people=(ExamplePerson("User 1", (ITEM,), ITEM, {"both": (ITEM,), "text only": ()}),),
)


@pytest.fixture(scope="module")
def card():
    found = card_of({"text": 0.8, "image": 0.05}, {"text": 0.8, "image": 0.8}, curves=True)
    signals = (
        Signal("starvation text", (1, 2), (0.9, 0.8)),
        Signal("starvation image", (1, 2), (0.5, 0.2)),
        Signal("gap", (1, 2), (0.1, 0.3)),
    )
    return replace(found, signals=signals)


def told(card, folder: Path, gallery: Gallery = GALLERY) -> tuple[str, str, Page]:
    path = folder / "card.html"
    write_card_page(path, card, gallery)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    return text, " ".join(" ".join(page.words).split()), page


def test_it_says_the_verdict_and_all_parts(card, tmp_path):
    text, words, page = told(card, tmp_path)
    assert 'class="verdict collapsed"' in text
    assert "image is the weak modality" in words.lower()
    for part in ("trained jointly", "image shuffled", "lost without it", "Who is weak for whom",
                 "each of both", "missing or noisy", "warm", "effective rank", "starvation",
                 "What is near what", "Example people"):  # fmt: skip
        assert part in words, part
    charts = [attributes for tag, attributes in page.elements if attributes.get("role") == "img"]
    assert sum("chart" in one.get("class", "") for one in charts) == 1 + 2 + 2
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_it_asks_nobody_and_trusts_no_title(card, tmp_path):
    text, _, page = told(card, tmp_path)
    assert "<script" not in text
    sources = [attributes.get("src", "") for _, attributes in page.elements]
    assert all(source == "" or source.startswith("data:image/jpeg") for source in sources)
    assert not re.search(r"(?:href|url)\s*[=(]\s*[\"']?http", text)


@pytest.mark.parametrize("knows", [{"text": 0.8}, {"text": 0.0, "image": 0.0}])
def test_it_is_whole_where_little_was_measured(knows, tmp_path):
    text, words, _ = told(card_of(knows), tmp_path, Gallery())
    assert "notes nothing about its modalities while it is trained" in words
    assert "What is near what" not in words
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", words.lower())
    assert ('class="verdict undecided"' in text) == (len(knows) == 2)
    assert ('class="verdict one-modality"' in text) == (len(knows) == 1)
    assert ("How alike the two modalities are" in words) == (len(knows) == 2)


def test_a_folder_that_is_a_file_is_told(card, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match="a part of that path is a file"):
        write_card_page(tmp_path / "taken" / "card.html", card, Gallery())


def test_shares_and_differences_in_words():
    assert percent(Estimate(0.374, 0.2, 0.551)) == "37 % (20 to 55)"
    assert percent(Estimate(0.0531, 0.0392, 0.068)) == "5.3 % (3.9 to 6.8)"
    assert percent(Estimate(float("nan"), 0.0, 0.0)) == "not known"
    assert signed(Estimate(0.01, -0.002, 0.02)) == "+0.0100 (-0.0020 to +0.0200)"


def test_a_band_lies_around_its_line():
    line = PlottedLine("x", ((0.0, 0.2), (0.5, float("nan")), (1.0, 0.4)), ((0.1, 0.3),) * 3, 5)
    chart = plot_lines([line], x_name="share", percent=True)
    assert chart is not None
    (drawn,) = chart.lines
    assert drawn.colour == 5
    spots = [tuple(map(float, spot.split(","))) for spot in drawn.points.split()]
    band = [tuple(map(float, spot.split(","))) for spot in drawn.band.split()]
    assert len(spots) == 2
    assert len(band) == 4
    assert band[0][1] < spots[0][1] < band[-1][1]  # SVG counts downwards
    assert [tick.label for tick in chart.x_ticks] == ["0%", "25%", "50%", "75%", "100%"]


def test_a_histogram_has_two_sides():
    chart = histogram((-1.0, -0.5, 0.0, 0.5, 1.0), (1, 4, 0, 2), colours=(1, 2))
    assert [column.colour for column in chart.columns] == [1, 1, 2, 2]
    heights = [column.height for column in chart.columns]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.02)
    assert heights[2] == 0
    assert chart.columns[1].x < chart.zero <= chart.columns[2].x
    assert chart.spoken.startswith("5 cases below 0, 2 above")
