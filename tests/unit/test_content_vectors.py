import hashlib
import shutil

import pytest
import torch
from PIL import Image

from vlmrec.data.images import Picture, read_picture
from vlmrec.items.cache import VectorCache
from vlmrec.items.content import content_vectors, picture_vectors

WIDTH = 4


class CountingTexts:
    """Vector = first bytes of the text's hash; remembers what it was asked."""

    identity, width = "counting texts", WIDTH

    def __init__(self):
        self.seen = []

    def encode_texts(self, texts):
        self.seen += texts
        return (
            torch.tensor([list(hashlib.sha256(t.encode()).digest()[:WIDTH]) for t in texts]) + 1.0
        )


class CountingPictures:
    """Vector = mean colour of the picture, and 1."""

    identity, width = "counting pictures", WIDTH

    def __init__(self):
        self.seen = []

    def encode_images(self, paths):
        self.seen += [path.name for path in paths]
        vectors, present = torch.zeros(len(paths), WIDTH), torch.zeros(len(paths), dtype=torch.bool)
        for row, path in enumerate(paths):
            outcome = read_picture(path)
            if isinstance(outcome, Picture):
                colour = outcome.image.resize((1, 1)).getpixel((0, 0))
                vectors[row], present[row] = torch.tensor([*colour, 1.0]), True
        return vectors, present


def expected(text):
    return CountingTexts().encode_texts([text])[0]


def test_rows_follow_internal_ids_and_blank_texts_are_absent():
    encoder = CountingTexts()
    content = content_vectors(["b", "", "a", "  \n", "b"], encoder)
    assert content.vectors.shape == (6, WIDTH)
    assert content.present.tolist() == [False, True, False, True, False, True]
    for row, text in ((1, "b"), (3, "a"), (5, "b")):
        assert torch.equal(content.vectors[row], expected(text))
    assert not content.vectors[~content.present].any()
    assert encoder.seen == ["b", "a"]
    counts = content.counts
    assert (counts.encoded, counts.from_cache, counts.missing, counts.calls) == (3, 0, 2, 2)
    assert content.identity == encoder.identity


def test_one_edited_caption_is_the_only_one_encoded_again(tmp_path):
    texts = [f"caption {i}" for i in range(600)]
    first = content_vectors(texts, CountingTexts(), VectorCache(tmp_path))
    assert first.counts.encoded == 600
    texts[321] = "edited"
    encoder = CountingTexts()
    again = content_vectors(texts, encoder, VectorCache(tmp_path))
    assert encoder.seen == ["edited"]
    assert (again.counts.encoded, again.counts.from_cache) == (1, 599)
    changed = (again.vectors != first.vectors).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [322]


def test_killed_run_keeps_finished_chunks(tmp_path):
    class Killed(CountingTexts):
        def encode_texts(self, texts):
            if self.seen:
                raise KeyboardInterrupt
            return super().encode_texts(texts)

    texts = [str(i) for i in range(600)]
    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        content_vectors(texts, killed, VectorCache(tmp_path))
    encoder = CountingTexts()
    content_vectors(texts, encoder, VectorCache(tmp_path))
    assert killed.seen
    assert killed.seen + encoder.seen == texts


def test_progress_ends_at_the_number_of_distinct_contents():
    calls = []
    content_vectors(["a", "b", "a"], CountingTexts(), progress=lambda *at: calls.append(at))
    assert calls == [(0, 2), (2, 2)]


def test_no_items_and_nothing_to_encode():
    assert content_vectors([], CountingTexts()).vectors.shape == (1, WIDTH)
    content = content_vectors(["", ""], CountingTexts())
    assert not content.present.any()


def test_pictures_equal_files_once_and_problems_by_kind(tmp_path):
    red, copy, cut = (tmp_path / name for name in ("red.png", "copy.png", "cut.png"))
    Image.new("RGB", (40, 40), (200, 0, 0)).save(red)
    shutil.copy(red, copy)
    cut.write_bytes(red.read_bytes()[:50])
    (tmp_path / "text.jpg").write_text("hello")
    paths = [None, red, tmp_path / "gone.png", copy, cut, tmp_path / "text.jpg"]
    encoder = CountingPictures()
    content = picture_vectors(paths, encoder, VectorCache(tmp_path / "cache"))
    assert content.present.tolist() == [False, False, True, False, True, False, False]
    assert content.vectors[2].tolist() == [200, 0, 0, 1]
    assert torch.equal(content.vectors[4], content.vectors[2])
    assert not content.vectors[~content.present].any()
    assert encoder.seen == ["red.png", "cut.png", "text.jpg"]
    assert content.counts.problems == {"missing": 1, "truncated": 1, "not-a-picture": 1}
    assert (content.counts.encoded, content.counts.missing) == (2, 4)


def test_renamed_picture_is_known_and_repainted_one_is_not(tmp_path):
    cache = VectorCache(tmp_path / "cache")
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(one)
    picture_vectors([one], CountingPictures(), cache)
    one.rename(two)
    encoder = CountingPictures()
    picture_vectors([two], encoder, cache)
    assert encoder.seen == []
    Image.new("RGB", (4, 4), (9, 2, 3)).save(two)
    assert picture_vectors([two], encoder, cache).vectors[1].tolist() == [9, 2, 3, 1]
