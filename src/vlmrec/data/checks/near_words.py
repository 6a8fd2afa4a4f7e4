"""Items that say the same, and items that nearly do.

Two titles are near if they share at least four of five words (Jaccard index). Near pairs are
found without comparing all: of two sets with that much in common, each has a common word among
its few rarest ones (prefix filter: Bayardo, Ma and Srikant, "Scaling up all pairs similarity
search", WWW 2007). What is found is exact.
"""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from vlmrec.core.columns import DESCRIPTION, TITLE
from vlmrec.data.catalog import Catalog
from vlmrec.data.checks.ragged import slots
from vlmrec.data.checks.twins import NO_GROUP, BoolArray, SharedKeys, Twins, unique_pairs
from vlmrec.data.sequences import IntArray

NEAR = 0.8
"""Shared words over all words of two titles, from which they count as near."""
FEWEST_WORDS = 3
"""Titles with fewer words are read together with the description: "Ring" says too little."""
_MOST_PAIRS = 5_000_000
_SLACK = 1e-9  # shares of whole numbers are compared in floating point
# Scripts that put no blanks between words; pairs of neighbouring signs stand for words.
_WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def same_words(catalog: Catalog) -> Twins:
    """Returns items with the title and description of another one.

    Case, punctuation, width of letters and white space make no difference.
    """
    return Twins(_numbered([f"{t}\n{d}" if t or d else "" for t, d in _folded(catalog)]))


def near_titles(catalog: Catalog, *, most_pairs: int = _MOST_PAIRS) -> Twins:
    """Returns items with nearly the title of another one.

    Args:
        catalog: The items.
        most_pairs: Candidates to compare; see `SharedKeys.pairs`.
    """
    texts = [_text(title, words) for title, words in _folded(catalog)]
    groups = _numbered([" ".join(sorted(_words(text))) for text in texts])
    n_groups = int(groups.max(initial=NO_GROUP)) + 1
    if n_groups < 2:
        return Twins(groups)
    first: list[int] = np.unique(groups, return_index=True)[1][-n_groups:].tolist()
    sets = _WordSets.of([_words(texts[row]) for row in first])
    pieces, complete = sets.rarest().pairs(most_pairs)
    return Twins(groups, unique_pairs([sets.near(pairs) for pairs in pieces]), complete)


def _folded(catalog: Catalog) -> list[tuple[str, str]]:
    """Returns title and description of each item, without case and punctuation."""

    def fold(name: str) -> pl.Expr:
        text = pl.col(name).cast(pl.String).fill_null("").str.normalize("NFKC")
        letters = text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
        return letters.str.strip_chars()

    return catalog.table.select(fold(TITLE), fold(DESCRIPTION)).rows()


def _text(title: str, description: str) -> str:
    return title if len(_words(title)) >= FEWEST_WORDS else f"{title} {description}"


def _words(text: str) -> set[str]:
    words = set(text.split())
    if not _WITHOUT_BLANKS.search(text):
        return words
    return {part for word in words for part in _parts(word)}


def _parts(word: str) -> list[str]:
    if len(word) < 2 or not _WITHOUT_BLANKS.search(word):
        return [word]
    return [word[k : k + 2] for k in range(len(word) - 1)]


def _numbered(texts: list[str]) -> IntArray:
    """Returns ``[n] int64``: equal texts have equal numbers from 0, an empty one has -1."""
    first: dict[str, int] = {"": NO_GROUP}
    return np.array([first.setdefault(text, len(first) - 1) for text in texts], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _WordSets:
    """Sets of words, end to end.

    Attributes:
        words: ``[M]`` numbers of the words of each set, rising; the rarer, the lower.
        start: ``[G]`` where each set begins.
        lengths: ``[G]`` its number of words.
    """

    words: IntArray
    start: IntArray
    lengths: IntArray

    @classmethod
    def of(cls, sets: list[set[str]]) -> "_WordSets":
        first: dict[str, int] = {}
        named = [first.setdefault(word, len(first)) for one in sets for word in sorted(one)]
        words = np.array(named, dtype=np.int64)
        rarity = np.argsort(np.argsort(np.bincount(words), kind="stable"), kind="stable")
        lengths = np.array([len(one) for one in sets], dtype=np.int64)
        order = np.lexsort((rarity[words], np.repeat(np.arange(len(sets)), lengths)))
        return cls(rarity[words][order], np.cumsum(lengths) - lengths, lengths)

    def rarest(self) -> SharedKeys:
        """Returns the words of each set of which two near sets must share one."""
        needed = self.lengths - np.ceil(NEAR * self.lengths - _SLACK).astype(np.int64) + 1
        rows = np.repeat(np.arange(len(needed), dtype=np.int64), needed)
        return SharedKeys(self.words[slots(self.start, needed)], rows)

    def near(self, pairs: IntArray) -> IntArray:
        """Returns those of some pairs of sets that are near."""
        sizes = self.lengths[pairs]
        alike = sizes.min(axis=1) >= NEAR * sizes.max(axis=1) - _SLACK
        pairs = unique_pairs([pairs[alike]])
        lengths = self.lengths[pairs]
        pair = np.repeat(np.arange(len(pairs)), lengths[:, 0])
        asked = self.words[slots(self.start[pairs[:, 0]], lengths[:, 0])]
        width = int(self.words.max()) + 1
        known = np.repeat(np.arange(len(self.lengths)), self.lengths) * width + self.words
        code: IntArray = pairs[pair, 1] * width + asked
        place: IntArray = np.searchsorted(known, code)
        shared: BoolArray = known[np.minimum(place, len(known) - 1)] == code
        common = np.bincount(pair[shared], minlength=len(pairs))
        every = lengths[:, 0] + lengths[:, 1] - common
        return pairs[common >= NEAR * every - _SLACK]
