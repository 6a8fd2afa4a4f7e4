"""Titles of films as MovieLens writes them: the article behind, the year at the end."""

import re

# The articles that occur, of the languages in which films have titles.
_ARTICLES = (
    *("The", "An", "A", "Les", "Le", "La", "L'", "Une", "Un", "Il", "Lo", "Gli", "I", "Una", "El"),
    *("Los", "Las", "Der", "Die", "Das", "Eine", "Ein", "Det", "Den", "Ett", "En", "De", "Het"),
    *("Os", "As", "O"),
)
_MOVED = re.compile(
    r"(?P<start>^|\((?:a\.?k\.?a\.? )?)(?P<name>[^()]+), (?P<article>"
    + "|".join(_ARTICLES)
    + r")(?=\s*(?:[()]|$))"
)
# (1995), (2006-2007), (2007- ); after it may stand marks such as (V), for video.
_YEAR = re.compile(r"\((\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?)?\s*\)(?:\s*\([^()]*\))*\s*$")


def with_article_in_front(title: str) -> str:
    """Returns a title with every article that stands behind a name in front of it.

    >>> with_article_in_front("Big Sleep, The (1946)")
    'The Big Sleep (1946)'
    >>> with_article_in_front("Eye of Vichy, The (Oeil de Vichy, L') (1993)")
    "The Eye of Vichy (L'Oeil de Vichy) (1993)"
    """
    return _MOVED.sub(_turned, title)


def year_in(title: str) -> int | None:
    """Returns the (first) year at the end of a title.

    >>> year_in("Land Before Time III (1995) (V)"), year_in("Babylon 5")
    (1995, None)
    """
    found = _YEAR.search(title)
    return int(found[1]) if found else None


def _turned(found: re.Match[str]) -> str:
    article = found["article"]
    blank = "" if article.endswith("'") else " "
    return f"{found['start']}{article}{blank}{found['name']}"
