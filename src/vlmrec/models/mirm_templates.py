"""Every sentence of the three fine-tuning tasks of Molar's item model.

The paper prints no template; these words are ours. Nothing is said about what is empty. Every
item is followed by ``[Cur_Item]``, so that the token learns to gather what is known of it.
"""

import re
from collections.abc import Mapping, Sequence

from vlmrec.vlm.prompts import Part, PictureSource, Prompt, SpecialPart, make_prompt

CUR_ITEM = "[Cur_Item]"
"""The learned token whose last hidden state is an item's vector."""

_DESCRIBE_PICTURE = "This is a picture of an item. Describe the item in a few sentences."
_DESCRIBE_ATTRIBUTES = "Write a description of the item with these attributes."
_NEXT_TITLE = "Somebody chose these items, oldest first. Give the title of the item chosen next."

_SENTENCES = {
    "actor": "It features {}",
    "artist": "It is by {}",
    "author": "It was written by {}",
    "brand": "It is made by {}",
    "category": "It belongs to {}",
    "color": "It comes in {}",
    "colour": "It comes in {}",
    "country": "It comes from {}",
    "date": "It dates from {}",
    "director": "It was directed by {}",
    "manufacturer": "It is made by {}",
    "material": "It is made of {}",
    "price": "It costs {}",
    "publisher": "It was published by {}",
    "rated": "It is rated {}",
    "release date": "It was released on {}",
    "runtime": "Its running time is {}",
    "store": "It is sold by {}",
    "tag": "People associate it with {}",
    "year": "It dates from {}",
}
"""By the attribute's name in the singular; all others are "Its NAME is VALUE"."""

_NO_PLURAL = re.compile(r"(series|species|news|[^s]|[aius]s)$")


def picture_prompt(picture: PictureSource) -> Prompt:
    """Returns the question that a description answers, above a picture."""
    return make_prompt(_DESCRIBE_PICTURE, picture, SpecialPart(CUR_ITEM))


def attributes_prompt(title: str, attributes: Mapping[str, Sequence[str]]) -> Prompt:
    """Returns the question that `description_from` answers.

    Args:
        title: May be empty.
        attributes: Name -> values; none is empty.
    """
    facts = {"title": [title], **attributes} if title else attributes
    listed = [f"{_name(name)}: {', '.join(values)}" for name, values in facts.items()]
    return make_prompt(f"{_DESCRIBE_ATTRIBUTES} {'; '.join(listed)}.", SpecialPart(CUR_ITEM))


def history_prompt(items: Sequence[tuple[str, PictureSource | None]]) -> Prompt:
    """Returns the question that the title of the next item answers.

    The question comes first, because too long a prompt loses tokens at the end of its texts.

    Args:
        items: Words and picture of each item, oldest first; an item has at least one of them.
    """
    parts: list[str | PictureSource | Part] = [_NEXT_TITLE]
    for place, (words, picture) in enumerate(items, 1):
        parts.append(f" {place}. ")
        parts += [] if picture is None else [picture]
        parts += [f" {words}"] if words and picture is not None else [words]
        parts.append(SpecialPart(CUR_ITEM))
    return make_prompt(*parts)


def words_in_history(title: str, description: str, most_words: int) -> str:
    """Returns an item of a history in words, "" where there are none.

    Args:
        title: May be empty.
        description: May be empty.
        most_words: The rest is cut off.
    """
    text = f"{title}: {description}" if title and description else title or description
    return first_words(text, most_words)


def description_from(title: str, attributes: Mapping[str, Sequence[str]]) -> str:
    """Returns a paragraph that says everything given, each attribute in a sentence.

    >>> description_from("Toy Story", {"year": ["1995"], "genre": ["Animation", "Comedy"]})
    'This is Toy Story. It dates from 1995. Its genres are Animation and Comedy.'

    Args:
        title: May be empty.
        attributes: Name -> values; none is empty.
    """
    opening = [f"This is {title}"] if title else []
    told = [*opening, *(_sentence(name, values) for name, values in attributes.items())]
    return " ".join(one if one.endswith((".", "!", "?")) else f"{one}." for one in told)


def first_words(text: str, most: int) -> str:
    """Returns the first words of a text, with single spaces between them."""
    return " ".join(text.split()[:most])


def _sentence(name: str, values: Sequence[str]) -> str:
    one = _singular(_name(name).lower())
    if one in _SENTENCES:
        return _SENTENCES[one].format(_listed(values))
    if len(values) == 1:
        return f"Its {one} is {values[0]}"
    return f"Its {_plural(one)} are {_listed(values)}"


def _name(name: str) -> str:
    """Returns a column's name as it is read: underscores and camelCase become spaces."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_]+", spaced.strip("_ "))) or name


def _listed(values: Sequence[str]) -> str:
    """Returns "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def _singular(name: str) -> str:
    if _NO_PLURAL.search(name):
        return name
    return f"{name[:-3]}y" if name.endswith("ies") else name[:-1]


def _plural(name: str) -> str:
    if name.endswith("s"):
        return name if name.endswith(("series", "species", "news")) else f"{name}es"
    return f"{name[:-1]}ies" if re.search(r"[^aeiou]y$", name) else f"{name}s"
