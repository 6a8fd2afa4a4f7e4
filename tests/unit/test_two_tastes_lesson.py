"""What demo and report say about the world of two tastes follows from its table."""

from vlmrec.evaluation.significance import Estimate
from vlmrec.pipeline.branch_study import StudyRow
from vlmrec.pipeline.two_tastes import lesson, two_tastes_aside


def row(variant: str, **means: float) -> StudyRow:
    views = {name.replace("_", " "): Estimate(mean, mean, mean) for name, mean in means.items()}
    return StudyRow(variant, (0,), views, {}, {}, "a loss", 2.5, 100.0)


def rows(fused: float) -> list[StudyRow]:
    return [
        row("image alone", fused=0.2),
        row("InfoNCE", fused=0.25, text_branch=0.18, image_branch=0.02, text_shuffled=0.01),
        row("WPCL", fused=fused, text_branch=0.19, image_branch=0.15, text_shuffled=0.06),
    ]


def test_the_lesson_names_the_share_that_is_left_and_the_price():
    text = lesson(rows(0.24))
    assert "10% of what they reach alone; under WPCL 75%" in text
    assert "0.010 under InfoNCE and 0.060 under WPCL" in text
    assert "WPCL ranks 4% worse" in text
    assert "WPCL ranks 2% better" in lesson(rows(0.255))


def test_the_aside_shows_every_row_with_its_loss():
    aside = two_tastes_aside(rows(0.24))
    assert [one.name for one in aside.rows] == ["image alone", "InfoNCE", "WPCL"]
    assert set(aside.rows[1].metrics) == {"fused", "text branch", "image branch", "text shuffled"}
    assert aside.rows[0].details == {"loss": "a loss", "seconds per epoch": "2.5"}
    assert lesson(rows(0.24)) in aside.text
