"""The report of a table of models: tables, drawn differences, names that do not collide."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from tests.unit.test_report import HOSTILE, PERSON, Page, row

from vlmrec.evaluation.grid import Block, Cell, Grid, Line
from vlmrec.evaluation.report import (
    CostPoint,
    Difference,
    Differences,
    ItemCard,
    LearningCurve,
    NotedTable,
    ReportCards,
    SliceTable,
    StoredCard,
    TablePart,
    TableReport,
    write_table_report,
)
from vlmrec.evaluation.report.charts import line_chart
from vlmrec.evaluation.report.forest import forest
from vlmrec.evaluation.report.scatter import _box, _Label, _meet, cost_chart
from vlmrec.evaluation.significance import Estimate
from vlmrec.pipeline.compared_runs import mean_curve

GRID = Grid(
    "model",
    (Block("ours", ("NDCG", "Recall")), Block("", ("how",), words=True)),
    (
        Line("SASRec", (Cell("0.5", 1), Cell("0.6", 2), Cell("a")), "Trained"),
        Line("GRU4Rec", (Cell("0.4"), Cell("-"), Cell("b")), "Trained"),
        Line("Popularity", (Cell("0.1"), Cell("0.2"), Cell("c")), "Counted"),
    ),
)


def told(report: TableReport, folder: Path) -> tuple[str, Page]:
    write_table_report(folder / "report.html", report)
    text = (folder / "report.html").read_text("utf-8")
    return text, Page(text)


def planted(word: str = "word") -> TableReport:
    """Returns a report in which every text is `word`."""
    grid = Grid(word, (Block(word, (word,)),), (Line(word, (Cell(word, 1),), word),))
    table = NotedTable(word, grid, (word,))
    gaps = (
        Difference(word, None, None, word, word),
        Difference(word, Estimate(0.1, 0.05, 0.15), 0.01, word),
    )
    seeds = tuple(LearningCurve(word, (1, 2), (0.1, 0.2 + i)) for i in range(2))
    part = TablePart(
        name=word,
        differences=(Differences(word, word, gaps),),
        curves={word: (LearningCurve(word, (1, 2), (0.1, 0.7), seeds, 9),)},
        costs=(CostPoint(word, 30.0, 0.1, 9),),
        cost_table=table,
        slices=(SliceTable(word, word, (row(word, 0.1),)),),
        cards=ReportCards((word,), (StoredCard(word, word, (word,)),), (word,), (word,)),
        people=(PERSON,),
        people_remarks=(word,),
    )
    return TableReport(word, "NDCG@10", table, word, {word: word}, (part, part), (table,), (word,))


def test_a_grid_says_its_groups_blocks_and_marks_in_html() -> None:
    text = GRID.to_html("Means & more")
    page = Page(text)
    assert "Means &amp; more</caption>" in text
    assert '<td class="number first"><b>0.5</b></td><td class="number"><u>0.6</u></td>' in text
    assert [a["colspan"] for a in page.all("th") if a["scope"] == "colgroup"] == ["2"]
    assert text.count("<tbody>") == text.count('scope="rowgroup"') == 2
    assert text.index(">Trained<") < text.index(">GRU4Rec<") < text.index(">Counted<")
    assert {
        len(re.findall("<td", line)) for line in text.splitlines() if 'scope="row"' in line
    } == {3}


def test_whatever_a_recipe_holds_is_escaped_and_nothing_is_asked_of_anybody(tmp_path: Path) -> None:
    text, page = told(planted(HOSTILE), tmp_path)
    assert "<script" not in text
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert all(one["src"].startswith("data:image/jpeg") for one in page.all("img"))
    assert "default-src 'none'" in text


def test_every_part_is_there_with_ids_of_its_own(tmp_path: Path) -> None:
    text, page = told(planted(), tmp_path)
    for heading in ("Results", "Against word", "Learning", "What it costs", "Groups of cases",
                    "Texts and pictures", "Example people", "All figures"):  # fmt: skip
        assert sum(words.startswith(heading) for words in page.words) >= 1, heading
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(one.get("scope") for one in page.all("th"))
    assert text.count('class="strand"') == 4  # two seeds in each of two parts
    told(TableReport("Bare", "NDCG@10", NotedTable("", GRID)), tmp_path)


def test_a_forest_has_one_scale_and_colours_only_what_is_significant() -> None:
    rows = (
        Difference("base", None, note="the baseline"),
        Difference("better", Estimate(0.02, 0.01, 0.03), 0.004),
        Difference("worse", Estimate(-0.02, -0.03, -0.01), 0.0001),
        Difference("by chance, corrected", Estimate(0.01, 0.001, 0.02), 0.2),
    )
    found = forest(Differences("NDCG@10", "base", rows))
    assert found is not None
    assert [line.side for line in found.lines] == ["", "above", "below", ""]
    assert [line.p_value for line in found.lines[1:]] == ["0.004", "<0.001", "0.200"]
    better, worse = found.lines[1].spot, found.lines[2].spot
    assert better is not None
    assert worse is not None
    assert 0 <= worse.low < worse.mean < worse.high < found.zero < better.low < better.high <= 100
    assert better.mean - found.zero == pytest.approx(found.zero - worse.mean, abs=0.02)
    assert found.lines[0].spot is None
    assert forest(Differences("NDCG@10", "base", rows[:1])) is None


@pytest.mark.parametrize("seed", range(20))
def test_names_of_points_do_not_collide(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [
        CostPoint(
            "n" * int(rng.integers(3, 40)),
            float(10 ** rng.normal(2, 0.2 + seed / 10)),
            float(rng.normal(0.05, 0.001 * (1 + seed))),
            number,
        )
        for number in range(1, int(rng.integers(2, 25)))
    ]
    chart = cost_chart(points)
    assert chart is not None
    boxes = [_box(_Label(p.label_x, p.label_y, p.anchor), p.name) for p in chart.points]
    assert not any(_meet(one, other) for one, other in combinations(boxes, 2))
    for point, (_, top, right, bottom) in zip(chart.points, boxes, strict=True):
        assert chart.frame.left <= point.x <= chart.frame.width - chart.frame.right
        assert right <= chart.frame.width + 20
        assert -10 <= top < bottom <= chart.frame.height - chart.frame.bottom + 10


def test_a_cheap_model_is_left_of_a_dear_one_by_the_logarithm() -> None:
    chart = cost_chart([CostPoint(name, 10.0**i, 0.1 * i, i) for i, name in enumerate("abc", 1)])
    assert chart is not None
    a, b, c = chart.points
    assert b.x - a.x == pytest.approx(c.x - b.x, abs=0.2)
    assert a.y > b.y > c.y
    assert [tick.label for tick in chart.x_ticks] == ["10 s", "1 min", "10 min", "1 h"]
    assert (
        cost_chart([CostPoint("no time", 0.0, 0.1, 1), CostPoint("no value", 1, float("nan"), 2)])
        is None
    )


def test_a_mean_curve_ends_where_the_first_seed_does() -> None:
    seeds = [LearningCurve("m", (1, 2, 3), (0.1, 0.2, 0.3)), LearningCurve("m", (1, 2), (0.3, 0.6))]
    mean = mean_curve(seeds, 10)
    assert (mean.epochs, mean.values) == ((1, 2), (0.2, 0.4))
    chart = line_chart([mean])
    assert chart is not None
    (line,) = chart.lines
    assert (line.colour, line.dashed) == (2, True)
    ends = [max(float(spot.split(",")[0]) for spot in one.split()) for one in line.strands]
    assert ends[0] == chart.right > ends[1]
    assert mean_curve(seeds[:1], 1).seeds == ()


def test_ranks_stand_beside_lists_that_miss(tmp_path: Path) -> None:
    person = PERSON.__class__(
        "U", (), ItemCard("t", "T"), {"m": (ItemCard("o", "O"),)}, ranks={"m": 1234.0}
    )
    report = TableReport("R", "NDCG@10", NotedTable("", GRID), parts=(TablePart(people=(person,)),))
    assert "rank 1,234" in told(report, tmp_path)[1].words
