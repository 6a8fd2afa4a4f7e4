"""What the demo shop says about a product: material, room, maker and promise, never the look."""

from dataclasses import dataclass

import numpy as np

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "material": {
        "stoneware": ("salt-glazed stoneware", "hand-thrown stoneware", "fired stoneware clay"),
        "porcelain": ("bone china", "translucent porcelain", "fine porcelain"),
        "oak": ("solid oak", "turned oak wood", "oiled oak timber"),
        "bamboo": ("woven bamboo", "split bamboo cane", "pressed bamboo fibre"),
        "steel": ("enamelled steel", "powder-coated steel", "spun sheet steel"),
        "glass": ("mouth-blown glass", "cast glass", "frosted glass"),
        "concrete": ("polished concrete", "lightweight cast concrete", "fine-grained concrete"),
        "paper": ("papier-mâché", "moulded paper pulp", "layered kraft paper"),
    },
    "room": {
        "kitchen": ("the breakfast table", "the kitchen counter", "long family breakfasts"),
        "reading": ("the reading corner", "the bookshelf", "an evening with a novel"),
        "hallway": ("the hallway", "the entrance hall", "the console by the front door"),
        "office": ("the home office", "a tidy work desk", "the desk and long video calls"),
        "nursery": ("the nursery", "a child's bedroom", "the playroom"),
        "balcony": ("the balcony", "the garden room", "summer evenings on the terrace"),
    },
    "maker": {
        "Fjordhus": ("Fjordhus",),
        "Atelier Brume": ("Atelier Brume",),
        "Casa Olmo": ("Casa Olmo",),
        "Tidewater Works": ("Tidewater Works",),
        "Studio Hanami": ("Studio Hanami",),
        "Kiln & Kettle": ("Kiln & Kettle",),
    },
    "promise": {
        "handmade": (
            "Made entirely by hand, so no two are alike.",
            "Shaped by hand in batches of twenty.",
            "Hand-finished and signed on the base.",
        ),
        "climate": (
            "Climate neutral, from recycled raw material.",
            "Made with solar power and recycled content.",
            "Carbon-neutral and fully recyclable.",
        ),
        "gift": (
            "Arrives gift-wrapped with a ribbon and a card.",
            "Comes in a gift box, ready to give.",
            "A birthday present: wrapping and card included.",
        ),
        "lasting": (
            "Guaranteed for thirty years.",
            "Built to be handed down, with a lifetime guarantee.",
            "So sturdy that we repair it free of charge, for life.",
        ),
        "award": (
            "Winner of an international design award.",
            "Shortlisted for the design prize of the year.",
            "On show in three museums of modern design.",
        ),
        "saver": (
            "Our best value: great design at a small price.",
            "An outlet bargain while stocks last.",
            "Now at a reduced price, today's deal.",
        ),
    },
}
"""Factor -> value -> the wordings that a catalogue would use for it."""

NAMES = (
    "Aldis", "Amble", "Ansa", "Arlo", "Bergen", "Birla", "Calla", "Corin", "Dalby", "Delft",
    "Edda", "Elvas", "Faro", "Finch", "Garda", "Gilda", "Hadley", "Hesper", "Iduna", "Isola",
    "Jarla", "Juno", "Kelda", "Kersti", "Larkin", "Lisbet", "Maren", "Marlow", "Nerys", "Nolde",
    "Odile", "Orla", "Pernilla", "Piran", "Quill", "Ravn", "Rhona", "Sabine", "Solveig", "Tamsin",
    "Thirza", "Ulla", "Vesper", "Wilder", "Yarrow", "Zelda",
)  # fmt: skip

CARE = (
    "Wipe clean with a soft cloth.",
    "Ships within three working days.",
    "Felt pads protect the surface underneath.",
    "Weight and measures are on the label.",
    "Returns are free within a month.",
)

TITLES = (
    "{name} in {material} by {maker}",
    "{maker} {name}, {material}",
    "{name} by {maker}: {material}",
)
BODIES = (
    "{maker} makes {name} from {material}, for {room}. {promise} {care}",
    "Made for {room}. {promise} {name} is {material} through and through. {care}",
    "{promise} In {material}, with {room} in mind. {care}",
)


@dataclass(frozen=True)
class Words:
    """The catalogue entry of a product."""

    title: str
    description: str


def describe(facts: dict[str, str], number: int, rng: np.random.Generator) -> Words:
    """Returns title and description of a product.

    Args:
        facts: Value of each factor in `WORDS`.
        number: Counts the products; makes the name unique.
        rng: Decides what means nothing: the wording, the sentence about care.
    """
    name = NAMES[number % len(NAMES)]
    series = number // len(NAMES)
    slots = {factor: _pick(WORDS[factor][value], rng) for factor, value in facts.items()}
    slots["name"] = f"{name} {series + 1}" if series else name
    slots["care"] = _pick(CARE, rng)
    body = _pick(BODIES, rng).format(**slots)
    return Words(_pick(TITLES, rng).format(**slots), body[0].upper() + body[1:])


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
