"""Continuations of a prompt, side by side or one by one, with given vectors among the words."""

import pytest
import torch
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.core.errors import ConfigError
from vlmrec.vlm.continuations import Continued, last_states, two_words
from vlmrec.vlm.families.base import positions_of
from vlmrec.vlm.layout import plain_ids
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import SpecialPart, make_prompt

USER, ITEM, ASK = "[U]", "[I]", "[A]"
HEADS = ["a red cup and a doll ", "b", "two "]
TAILS = [["blue", "a new doll", "is a very long one", "b"], ["red"], ["cup", "c"]]


@pytest.fixture(scope="module", params=["tiny", "qwen2_vl", "smolvlm"])
def vlm(request, tmp_path_factory):
    """One body that takes any mask, and two that read a sequence a continuation."""
    name = request.param
    if name != "tiny":
        name = str(write_tiny_vlm(name, tmp_path_factory.mktemp(name)))
    model = load_vlm(name, VlmOptions(), TuningOptions(kind="full"))
    model.add_special_tokens([USER, ITEM, ASK], seed=1)
    return model.eval()


def asked(vlm, seed=0):
    """Returns 3 prompts with 7 continuations, and vectors for two slots."""
    made = torch.Generator().manual_seed(seed)
    prompts = [make_prompt(head, SpecialPart(USER), SpecialPart(ASK)) for head in HEADS]
    behind = [[make_prompt(t, SpecialPart(ITEM), "?") for t in tails] for tails in TAILS]
    slots = {name: torch.randn(7, vlm.width, generator=made) for name in (USER, ITEM)}
    return Continued(prompts, behind, slots)


def oracle(vlm, given):
    """Reads every continuation behind its prompt as one sequence of its own."""
    family, found = vlm.family, []
    ids_of = lambda text: plain_ids(family.tokenizer, [text])[0]  # noqa: E731
    words = family.word_embeddings
    row = 0
    for head, tails in zip(HEADS, TAILS, strict=True):
        first = row
        for tail in tails:
            template = vlm._template
            parts = [words(torch.tensor([*template.before, *ids_of(head)], dtype=torch.long))]
            parts.append(given.slots[USER][first][None])
            parts.append(vlm.learned.table[vlm.learned.names.index(ASK)][None])
            n_prompt = sum(len(part) for part in parts)
            parts.append(words(torch.tensor(ids_of(tail))))
            parts.append(given.slots[ITEM][row][None])
            parts.append(words(torch.tensor([*ids_of("?"), *template.after])))
            sequence = torch.cat(parts)[None]
            n = sequence.shape[1]
            if family.takes_any_mask:
                back = torch.ones(n, n, dtype=torch.bool).tril()
                back[:, :n_prompt] = True  # a prompt sees itself both ways
                steps = torch.arange(n)[None]
                states = family.body_under(sequence, steps, back[None])
            else:
                mask = torch.ones(1, n, dtype=torch.bool)
                states = family.run(sequence, mask, positions_of(mask))
            found.append(states[0, -1])
            row += 1
    return torch.stack(found)


def test_equals_reading_each_on_its_own(vlm):
    given = asked(vlm)
    found = last_states(vlm, given)
    assert torch.allclose(found, oracle(vlm, given), atol=1e-5)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_gradients_are_those_of_reading_each_on_its_own(vlm):
    weights = torch.randn(7, vlm.width, generator=torch.Generator().manual_seed(5))

    def gradients(read):
        given = asked(vlm)
        leaves = [one.requires_grad_() for one in given.slots.values()]
        leaves += [vlm.learned.table, vlm.family.word_embeddings.weight]
        return torch.autograd.grad((read(vlm, given) * weights).sum(), leaves)

    for one, other in zip(gradients(last_states), gradients(oracle), strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)


def test_a_user_slot_takes_the_vector_of_the_prompts_first_continuation(vlm):
    given = asked(vlm)
    before = last_states(vlm, given)
    given.slots[USER][1] *= -1.0  # the second continuation of the first prompt
    assert torch.equal(before, last_states(vlm, given))
    given.slots[USER][0] *= -1.0
    changed = (before - last_states(vlm, given)).abs().amax(dim=1) > 1e-3
    assert changed.tolist() == [True] * 4 + [False] * 3


def test_a_continuation_sees_no_other(vlm):
    given = asked(vlm)
    before = last_states(vlm, given)
    given.slots[ITEM][2] *= -1.0
    changed = (before - last_states(vlm, given)).abs().amax(dim=1) > 1e-3
    assert changed.tolist() == [number == 2 for number in range(7)]


def test_small_passes_and_padding_change_nothing(vlm):
    given = asked(vlm)
    whole = last_states(vlm, given)
    usual = vlm.options
    try:
        for change in ({"tokens_per_batch": 1}, {"padding": "left"}):
            vlm.options = usual.model_copy(update=change)
            assert torch.allclose(whole, last_states(vlm, given), atol=1e-5)
    finally:
        vlm.options = usual


def test_more_continuations_than_one_pass_holds(vlm):
    made = torch.Generator().manual_seed(3)
    head = make_prompt("a red cup", SpecialPart(ASK))
    tails = [make_prompt("blue", SpecialPart(ITEM)) for _ in range(70)]
    vectors = torch.randn(70, vlm.width, generator=made)
    found = last_states(vlm, Continued([head], [tails], {ITEM: vectors}))
    for row in (0, 31, 32, 69):
        alone = Continued([head], [tails[:1]], {ITEM: vectors[row : row + 1]})
        assert torch.allclose(found[row : row + 1], last_states(vlm, alone), atol=1e-5)


def test_a_prompt_without_continuation_is_read_to_its_end(vlm):
    head = make_prompt("a red cup", SpecialPart(ASK))
    found = last_states(vlm, Continued([head], [[()]], {}))
    assert torch.allclose(found, vlm.encode([head], pooling="last"), atol=1e-5)
    assert last_states(vlm, Continued([], [], {})).shape == (0, vlm.width)


def test_unknown_slots_are_named(vlm):
    with pytest.raises(ConfigError, match=r"Unknown special token '\[X\]'"):
        last_states(vlm, Continued([make_prompt("a")], [[()]], {"[X]": torch.zeros(1, 1)}))


def test_two_words_differ(vlm):
    yes, no = two_words(vlm, "yes", "no")
    assert yes != no
    with pytest.raises(ValueError, match="begin alike"):
        two_words(vlm, "yes", "yes")
