"""The part of a report that says what a model has been taught; escaping: see test_report."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from vlmrec.evaluation.report import (
    ItemCard,
    RunReport,
    TaughtAnswer,
    TaughtTask,
    write_run_report,
)

HEADING = "What it has been taught"
PLAIN = RunReport("A run", "full ranking", ())


@pytest.fixture
def cup() -> ItemCard:
    target = io.BytesIO()
    Image.new("RGB", (40, 30)).save(target, "PNG")
    return ItemCard("c1", "Cup", target.getvalue())


def part(folder: Path, *tasks: TaughtTask) -> str:
    """Returns what the page has below the heading, as words and tags."""
    write_run_report(folder / "report.html", replace(PLAIN, taught=tasks))
    return (folder / "report.html").read_text("utf-8").partition(f"{HEADING}</h2>")[2]


def test_figures_remarks_and_answers_are_told(tmp_path: Path, cup: ItemCard) -> None:
    answers = (TaughtAnswer((cup,), "A cup.", "A mug."), TaughtAnswer((cup,), "A hat.", ""))
    losses = {"before": 9.5, "after": 3.25, "bag of words": 4.0}
    unknown = dict.fromkeys(losses)
    text = part(
        tmp_path,
        TaughtTask("Pictures", 1234, 9, losses, "Easy.", answers, longest=40),
        TaughtTask("Titles", 7, 0, unknown),
    )
    figures = re.findall(r'class="mean( best)?">([^<]+)<', text)
    assert figures[:3] == [("", "9.500"), (" best", "3.250"), ("", "4.000")]
    assert figures[3:] == [("", "\N{EN DASH}")] * 3
    told = [">1,234 learned from, 9 held out<", ">7 learned from, 0 held out<", ">Pictures: Easy.<"]
    told += [">A cup.<", ">A mug.<", ">A hat.<", ">nothing<", "after 40 tokens at the latest"]
    told += ["2 of 9 held-out examples, drawn at random, not chosen"]
    assert [words for words in told if words not in text] == []
    assert text.count('loading="lazy"') == 2
    assert "Pictures</h3>" in text
    assert "Titles</h3>" not in text


def test_what_is_not_drawn_is_not_called_drawn(tmp_path: Path, cup: ItemCard) -> None:
    one = TaughtAnswer((cup, cup), "A cup.", "A mug.")
    assert "The only held-out example." in part(tmp_path, TaughtTask("A", 1, 1, {}, "", (one,)))
    both = TaughtTask("A", 1, 2, {}, "", (one, one))
    assert "All 2 held-out examples." in part(tmp_path, both)


def test_nothing_is_said_of_what_was_not_taught(tmp_path: Path) -> None:
    assert part(tmp_path) == ""
