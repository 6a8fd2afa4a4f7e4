"""The page of attacks and mistakes shows what the tests send, with the answers that they expect."""

import pytest
from tests.attacks import EVERY, GROUPS, Attack
from tests.docs.markdown_pages import ROOT

PAGE = ROOT / "docs" / "reference" / "service-answers.md"


def row(attack: Attack) -> str:
    """Returns the line of a table that shows an attack."""
    says = attack.says.replace("|", "\\|")
    return f"| {attack.name} | {attack.status} | {f'`{says}`' if says else ''} |"


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_shows_every_attack_and_its_answer(group):
    text = PAGE.read_text(encoding="utf-8")
    table = text.split(f"## {group}\n")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    assert lines == ["| what is sent | status | the answer says |", *map(row, GROUPS[group])]


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own():
    assert len({one.name for one in EVERY}) == len(EVERY) >= 40
