"""A learned token behind every start of a history, in one pass; and the users it makes."""

import pytest
import torch
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.models.body_users import USER, BodyUsers
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.summing_up import states_behind

LENGTHS = (5, 1, 3)
PLACES = torch.tensor([[0, 2, 4], [0, 0, 0], [2, 1, 0]])


@pytest.fixture(scope="module", params=["tiny", "qwen2_vl"])
def vlm(request, tmp_path_factory):
    """One body that takes any mask, and one that reads a sequence a token."""
    name = request.param
    if name != "tiny":
        name = str(write_tiny_vlm(name, tmp_path_factory.mktemp(name)))
    model = load_vlm(name, VlmOptions(), TuningOptions(kind="full"))
    assert model.family.takes_any_mask == (request.param == "tiny")
    return model.eval()


def rows(vlm, seed=0):
    """Returns vectors of 3 histories with noise in the padding, their mask, and a token."""
    made = torch.Generator().manual_seed(seed)
    vectors = torch.randn(3, 5, vlm.width, generator=made)
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    return vectors, mask, torch.randn(vlm.width, generator=made)


def one_by_one(vlm, vectors, token, places):
    """Reads every start with its token on its own."""
    found = []
    for row, wanted in zip(vectors, places.tolist(), strict=True):
        for place in wanted:
            alone = torch.cat([row[: place + 1], token[None]])[None]
            states = vlm.body(alone, torch.ones(1, place + 2, dtype=torch.bool))
            found.append(states[0, -1])
    return torch.stack(found).view(*places.shape, -1)


def test_equals_reading_every_start_on_its_own(vlm):
    vectors, mask, token = rows(vlm)
    found = states_behind(vlm, vectors, mask, token, PLACES)
    assert torch.allclose(found, one_by_one(vlm, vectors, token, PLACES), atol=1e-5)
    assert not torch.allclose(found[0, 0], found[0, 1], atol=1e-2)


def test_gradients_are_those_of_reading_every_start_on_its_own(vlm):
    vectors, mask, token = rows(vlm)
    weights = torch.randn(3, 3, vlm.width, generator=torch.Generator().manual_seed(5))
    of_body = next(
        one
        for name, one in vlm.family.language.named_parameters()
        if one.dim() == 2 and "embed" not in name
    )

    def gradients(read):
        leaves = [vectors.clone().requires_grad_(), token.clone().requires_grad_()]
        return torch.autograd.grad((read(*leaves) * weights).sum(), [*leaves, of_body])

    together = gradients(lambda v, t: states_behind(vlm, v, mask, t, PLACES))
    apart = gradients(lambda v, t: one_by_one(vlm, v, t, PLACES))
    for one, other in zip(together, apart, strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)
    assert not together[0][1, 1:].any(), "padding has no gradient"


def test_a_token_sees_the_whole_history_up_to_its_place_and_nothing_else(vlm):
    vectors, mask, token = rows(vlm)
    other, _, _ = rows(vlm, seed=1)
    places = torch.tensor([[0, 2, 4], [0, 0, 0], [0, 1, 2]])
    before = states_behind(vlm, vectors, mask, token, places)
    for changed in range(5):
        given = vectors.clone()
        given[:, changed] = other[:, changed]
        after = states_behind(vlm, given, mask, token, places)
        moved = (after - before).abs().amax(dim=-1) > 1e-4
        real = changed < torch.tensor(LENGTHS)[:, None]
        assert torch.equal(moved, real & (places >= changed)), changed
    assert torch.allclose(  # nor another token
        before[:, 1:2], states_behind(vlm, vectors, mask, token, places[:, 1:2]), atol=1e-5
    )


def users_of(name="tiny", readout="user", tuning=None, dropout=0.0, folder=None):
    backbone = name if folder is None else str(write_tiny_vlm(name, folder))
    vlm = load_vlm(backbone, VlmOptions(), tuning or TuningOptions(kind="full"))
    return BodyUsers(vlm, readout, dropout).eval()


def plain_user(users, items):
    """Returns the vector of one user's items ``[n, D]``, as the paper reads."""
    scale = users.vlm.family.word_embeddings.weight.std()
    if users.readout == "user":
        items = torch.cat([items * scale, users.vlm.learned.table])
    else:
        items = items * scale
    return users.vlm.body(items[None], torch.ones(1, len(items), dtype=torch.bool))[0, -1]


@pytest.mark.parametrize("readout", ["user", "last"])
def test_users_are_states_behind_the_wanted_items(readout):
    users = users_of(readout=readout)
    vectors, mask, _ = rows(users.vlm)
    patterns = [mask, mask & (torch.arange(5) % 2 == 0), mask & (torch.arange(5) == 2)]
    for wanted in patterns:
        with torch.no_grad():
            found = users(vectors, mask, wanted)
            assert found.shape == (3, 5, users.vlm.width)
            for row, place in wanted.nonzero().tolist():
                plain = plain_user(users, vectors[row, : place + 1])
                assert torch.allclose(found[row, place], plain, atol=1e-5), (row, place)
        if readout == "user":
            assert not found[~wanted].any(), "zero where nobody asked"


def test_unasked_the_last_item_of_each_row_is_meant():
    users = users_of()
    vectors, mask, _ = rows(users.vlm)
    mask = torch.cat([mask, torch.zeros(1, 5, dtype=torch.bool)])  # and somebody without any item
    vectors = torch.cat([vectors, vectors[:1]])
    with torch.no_grad():
        found = users(vectors, mask)
    for row, length in enumerate(LENGTHS):
        plain = plain_user(users, vectors[row, :length])
        assert torch.allclose(found[row, length - 1], plain, atol=1e-5)
    assert found.any(dim=-1).nonzero().tolist() == [[0, 4], [1, 0], [2, 2]]
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("family", ["tiny", "smolvlm"])
def test_a_user_with_one_item_is_read_like_anybody(family, tmp_path):
    users = users_of(family, folder=None if family == "tiny" else tmp_path)
    vectors = rows(users.vlm)[0][:1, :1]
    with torch.no_grad():
        found = users(vectors, torch.ones(1, 1, dtype=torch.bool))
        assert torch.allclose(found[0, 0], plain_user(users, vectors[0]), atol=1e-5)
    assert found.any()


@pytest.mark.parametrize("family", ["tiny", "qwen2_vl"])
@pytest.mark.parametrize(
    ("readout", "kind"), [("user", "full"), ("last", "full"), ("user", "lora")]
)
def test_only_the_body_and_the_token_learn(family, readout, kind, tmp_path):
    folder = None if family == "tiny" else tmp_path
    users = users_of(family, readout, TuningOptions(kind=kind, vision=True), folder=folder)
    family = users.vlm.family
    learning = {id(one) for one in users.parameters() if one.requires_grad}
    body = {
        id(one)
        for name, one in family.language.named_parameters()
        if one is not family.word_embeddings.weight and (kind == "full" or ".lora_" in name)
    }
    token = {id(users.vlm.learned.table)} if readout == "user" else set()
    assert learning == body | token
    vectors, mask, _ = rows(users.vlm)
    users(vectors, mask).sum().backward()
    if readout == "user":
        assert users.vlm.learned.table.grad.any()
    assert users.vlm.learned.names == ([USER] if readout == "user" else [])


def test_dropout_falls_on_the_items_in_training_only():
    users = users_of(dropout=0.5)
    vectors, mask, _ = rows(users.vlm)
    with torch.no_grad():
        still = users(vectors, mask)
        assert torch.equal(still, users(vectors, mask))
        users.dropout.train()
        assert not torch.allclose(still, users(vectors, mask), atol=1e-3)
