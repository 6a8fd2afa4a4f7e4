"""Every sentence of CoLLM's question, and the tokens whose vectors it puts in.

The wording is ours. Items of the history come latest first, because too long a prompt loses
words at the end of its longest text.
"""

from collections.abc import Sequence

from vlmrec.vlm.prompts import Part, Prompt, SpecialPart, TextPart

USER = "[UserID]"
"""Where the collaborative vector of the user stands."""
ITEM = "[TargetItemID]"
"""Where the collaborative vector of the item that is asked about stands."""
ASK = "[Ask]"
"""A learned token between history and question: neither is cut for the other's length."""
YES, NO = "yes", "no"

_HISTORY = "Somebody chose these items, latest first:"
_NOTHING = "Somebody has not chosen anything yet."
_NAMELESS = "an item without a title"


def history_prompt(titles: Sequence[str], *, hybrid: bool) -> Prompt:
    """Returns what is told of a user.

    Args:
        titles: Of the history, oldest first.
        hybrid: Whether the user's collaborative vector is told, too.
    """
    listed = "; ".join(title or _NAMELESS for title in reversed(titles))
    told = f"{_HISTORY} {listed}." if titles else _NOTHING
    taste: tuple[Part, ...] = (TextPart(" Their taste:"), SpecialPart(USER)) if hybrid else ()
    return (TextPart(told), *taste, SpecialPart(ASK))


def question(title: str, *, hybrid: bool) -> Prompt:
    """Returns what is asked about a candidate, to be answered by `YES` or `NO`.

    Args:
        title: The candidate's.
        hybrid: Whether the item's collaborative vector is told, too.
    """
    opening = f" Was the next one {title or _NAMELESS}"
    closing = TextPart("? Answer:")
    if hybrid:
        return (TextPart(f"{opening},"), SpecialPart(ITEM), closing)
    return (TextPart(opening), closing)
