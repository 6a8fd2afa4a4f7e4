import re
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.vlm.collating import collate
from vlmrec.vlm.compact_loading import make_tiny
from vlmrec.vlm.families.base import PictureTokens
from vlmrec.vlm.layout import PromptLayout, Template
from vlmrec.vlm.prompts import ImagePart, SpecialPart, TextPart, make_prompt
from vlmrec.vlm.visual_features import VisualFeatures

# One token a byte, so that lengths of texts are lengths of rows.
TOKENIZER = make_tiny(1, 0).tokenizer
CPU = torch.device("cpu")
START, END, PAD, ITEM = 901, 902, 903, 904
AROUND = Template((801, 802), (803,))
# A picture of n tokens within its frame, by its name.
SEEN = {name: VisualFeatures(torch.full((n, 2), n), (n,)) for name, n in ((b"2", 2), (b"5", 5))}


def picture_tokens(shape):
    ids = (START, *[PAD] * shape[0], END)
    return PictureTokens(ids, (False, *[True] * shape[0], False))


def layout(max_tokens=64, template=AROUND):
    def special_id(name):
        assert name == "[Cur_Item]"
        return ITEM

    family = SimpleNamespace(tokenizer=TOKENIZER, run_of=picture_tokens)
    return PromptLayout(family, template, max_tokens, special_id)


def letters(row):
    """The row as a string: letters of words, digits of pictures' places, brackets, `!` a token."""
    marks = {START: "<", END: ">", PAD: ".", ITEM: "!", 801: "(", 802: "(", 803: ")"}
    end = TOKENIZER.sep_token_id
    return "".join(
        marks.get(one) or ("$" if one == end else TOKENIZER.decode([one])) for one in row.ids
    )


def lay(*parts, max_tokens=64, answer=None):
    made = layout(max_tokens)
    answers = None if answer is None else [answer]
    (row,) = made.rows([make_prompt(*parts)], SEEN, answers)
    assert len(row.ids) == len(row.filled) == len(row.textual)
    return row, letters(row), made.report


def test_parts_keep_their_order_within_the_template():
    row, text, report = lay("ab", b"2", SpecialPart("[Cur_Item]"), "c", b"5")
    assert text == "((ab<..>!c<.....>)"
    assert [one.shape for one in row.pictures] == [(2,), (5,)]
    assert "".join("#" if one else "-" for one in row.filled) == "-----##----#####--"
    assert "".join("t" if one else "-" for one in row.textual) == "tttt----tt-------t"
    assert row.prefix == len(row)
    assert (report.prompts, report.texts_cut, report.pictures_dropped) == (1, 0, 0)


def test_an_answer_follows_the_template_and_is_closed():
    row, text, _ = lay("ab", b"2", answer="xyz")
    assert text == "((ab<..>)xyz$"
    assert row.prefix == len("((ab<..>)")
    assert lay("ab", answer="")[1] == "((ab)$"


def test_an_unreadable_picture_leaves_no_place():
    assert lay("ab", b"gone", "cd")[1] == "((abcd)"


def test_neighbouring_words_are_one_text_in_which_no_name_is_special():
    row, text, _ = lay("a[MA", "SK]", "b")
    assert text == "((a[MASK]b)"
    assert TOKENIZER.mask_token_id not in row.ids


def test_the_longest_text_is_cut_first():
    row, text, report = lay("a" * 30, b"2", "bcd", max_tokens=20)
    assert text == "((" + "a" * 10 + "<..>bcd)"
    assert len(row) == 20
    assert (report.texts_cut, report.tokens_cut, report.pictures_dropped) == (1, 20, 0)
    # Of texts that are longer than their share, all keep as much.
    assert lay("a" * 30, b"2", "b" * 20, max_tokens=20)[1] == "((aaaaaaa<..>bbbbbb)"


def test_pictures_stay_whole_while_there_is_text_to_cut():
    _, text, report = lay(b"5", "abcdefgh", b"2", SpecialPart("[Cur_Item]"), max_tokens=17)
    assert text == "((<.....>ab<..>!)"
    assert report.pictures_dropped == 0


def test_the_oldest_picture_is_dropped_whole():
    row, text, report = lay("abc", b"5", b"2", SpecialPart("[Cur_Item]"), max_tokens=14)
    assert text == "((abc<..>!)"
    assert [one.shape for one in row.pictures] == [(2,)]
    assert (report.pictures_dropped, report.texts_cut) == (1, 0)
    # The same picture twice: the first place goes.
    assert lay(b"2", "a", b"2", max_tokens=8)[1] == "((a<..>)"


def test_a_picture_that_fits_alone_leaves_no_room_for_words():
    assert lay("abc", b"5", max_tokens=10)[1] == "((<.....>)"


def test_a_long_answer_is_cut_to_half_and_still_closed():
    row, text, report = lay("abcdefgh", answer="vwxyz", max_tokens=8)
    assert text == "((a)vwx$"
    assert row.prefix == 4
    assert (report.answers_cut, report.texts_cut) == (1, 1)


def test_reports_add_up():
    made = layout(8)
    for _ in range(2):
        made.rows([make_prompt("a" * 9), make_prompt("b")], {})
    assert (made.report.prompts, made.report.texts_cut, made.report.tokens_cut) == (4, 2, 8)


@pytest.mark.parametrize("parts", [(), ("",), (b"gone",), (SpecialPart("[Cur_Item]"), "")])
def test_neither_text_nor_picture(parts):
    with pytest.raises(DataError, match=r"neither text nor a readable picture.*Leave it out"):
        lay(*parts)


def test_neither_text_nor_picture_names_the_file(tmp_path):
    with pytest.raises(DataError, match=re.escape(f"readable picture: '{tmp_path / 'a.png'}'.")):
        lay(tmp_path / "a.png")


def test_special_tokens_that_do_not_fit():
    tokens = [SpecialPart("[Cur_Item]")] * 6
    with pytest.raises(ConfigError, match=r"needs 9 tokens.*alone; max_tokens=8\. Raise max_tok"):
        lay("a", *tokens, b"2", max_tokens=8)


@pytest.mark.parametrize("parts", [(b"5",), ("a", *[SpecialPart("[Cur_Item]")] * 5)])
def test_nothing_is_left(parts):
    with pytest.raises(
        ConfigError, match=r"max_tokens=8 leaves a prompt neither.*Raise max_tokens"
    ):
        lay(*parts, max_tokens=8)


pieces = st.one_of(
    st.text(max_size=40).map(TextPart),
    st.sampled_from([b"2", b"5", b"gone"]).map(ImagePart),
    st.just(SpecialPart("[Cur_Item]")),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(pieces, max_size=8), st.integers(8, 60), st.none() | st.text(max_size=30))
def test_rows_fit_and_pictures_are_whole(parts, max_tokens, answer):
    made = layout(max_tokens)
    try:
        (row,) = made.rows([tuple(parts)], SEEN, None if answer is None else [answer])
    except (DataError, ConfigError):
        return
    assert len(row) <= max_tokens
    assert row.ids[:2] == [801, 802]
    assert row.ids[row.prefix - 1] == 803
    assert row.ids.count(ITEM) == sum(isinstance(one, SpecialPart) for one in parts)
    # The pictures are the last ones of the prompt, each whole within its frame.
    readable = [one.source for one in parts if isinstance(one, ImagePart) and one.source in SEEN]
    kept = readable[len(readable) - len(row.pictures) :]
    assert row.pictures == [SEEN[source] for source in kept]
    whole = [one for source in kept for one in picture_tokens(SEEN[source].shape).ids]
    assert [one for one in row.ids if one in (START, PAD, END)] == whole
    assert [one for one, text in zip(row.ids, row.textual, strict=True) if not text] == whole
    assert [one == PAD for one in row.ids] == row.filled
    assert made.report.pictures_dropped == len(readable) - len(kept)
    if made.report.tokens_cut:
        assert len(row) == max_tokens, "more was cut than had to be"


@pytest.mark.parametrize("side", ["right", "left"])
def test_collate_fills_up_one_side(side):
    made = layout()
    rows = made.rows([make_prompt("ab", b"2"), make_prompt("a")], SEEN, ["xy", ""])
    batch = collate(rows, 7, side, CPU)
    long, short = len(rows[0]), len(rows[1])
    assert batch.ids.shape == batch.mask.shape == (2, long)
    where = slice(0, short) if side == "right" else slice(long - short, long)
    rest = batch.ids[1].tolist()
    del rest[where]
    assert batch.ids[1, where].tolist() == rows[1].ids
    assert rest == [7] * (long - short)
    assert batch.mask.sum(1).tolist() == [long, short]
    assert batch.mask[1, where].all()
    for name in ("filled", "textual"):
        assert getattr(batch, name)[1, where].tolist() == getattr(rows[1], name)
        assert getattr(batch, name)[0].tolist() == getattr(rows[0], name)
        assert not (getattr(batch, name) & ~batch.mask).any()
    assert batch.prefix.sum(1).tolist() == [row.prefix for row in rows]
    assert (batch.mask & ~batch.prefix)[1].nonzero()[0] == where.stop - 1
    assert list(batch.pictures) == [1, 0]
    assert batch.features[0] is SEEN[b"2"]
