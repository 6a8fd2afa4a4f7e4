"""The toy of `compact`: a checkpoint folder like any other, one token a word, small pictures."""

import pytest
import torch

from vlmrec.core.errors import DataError
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.vlm import seeing
from vlmrec.vlm.families.compact import Compact
from vlmrec.vlm.kept_pixels import KeptPixels
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import make_prompt
from vlmrec.vlm.toy import ToyOptions, make_toy

TEXTS = ["1. Red oak cup", "2. steel cup"]
PICTURES = [noise_picture(number, 32, 32) for number in range(3)]
WHOLE = TuningOptions(kind="full", vision=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys") / "toy"
    make_toy(TEXTS, folder, ToyOptions(width=16))
    return str(folder)


def test_it_is_compact_with_a_token_a_word_and_a_token_a_picture(folder):
    model = load_vlm(folder)
    assert isinstance(model.family, Compact)
    known = model.family.tokenizer("red OAK cup 1.", add_special_tokens=False)["input_ids"]
    assert len(known) == len(set(known)) == 4
    assert model.family.tokenizer("never seen")["input_ids"] == [1, 1]
    rows = model.layout.rows([make_prompt("red cup")], {})
    assert [len(row) for row in rows] == [2]
    (features,) = model.image_features(PICTURES[:1])
    assert features.values.shape == (1, 64)
    assert model.encode([make_prompt(one) for one in PICTURES]).shape == (3, 16)


def test_the_seed_decides_its_weights(folder, tmp_path):
    prompts = [make_prompt(PICTURES[0], "red cup")]
    vectors = [load_vlm(folder).encode(prompts)]
    for seed in (0, 1):
        make_toy(TEXTS, tmp_path / str(seed), ToyOptions(width=16), seed=seed)
        vectors.append(load_vlm(str(tmp_path / str(seed))).encode(prompts))
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-2)
    with pytest.raises(DataError, match="exists and is not empty"):
        make_toy(TEXTS, tmp_path / "0")


def test_neighbours_do_not_matter_and_order_counts_once_learned(folder):
    model = load_vlm(folder, VlmOptions(pooling="mean"))
    prompts = [make_prompt(*PICTURES, "red cup"), make_prompt("oak"), make_prompt("cup red")]
    together = model.encode(prompts)
    alone = torch.cat([model.encode([one]) for one in prompts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    both = [make_prompt("red oak cup"), make_prompt("cup oak red")]
    first, second = model.encode(both)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    with torch.no_grad():
        model.network.body.embeddings.position_embeddings.weight.normal_()
    first, second = model.encode(both)
    assert (first - second).abs().max() > 1e-3


def test_words_and_pictures_learn(folder):
    model = load_vlm(folder, tuning=WHOLE).train()
    model.encode([make_prompt("red", PICTURES[0])], pooling="mean").square().sum().backward()
    silent = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert all(name.startswith(("network.head", "network.bias", "learned")) for name in silent)
    grad = model.network.tower.layers[0].weight.grad
    assert float(grad.abs().max()) > 0


def test_a_tower_that_learns_decodes_each_picture_once(folder, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(PICTURES[0])
    (tmp_path / "b.png").write_bytes(b"no picture")
    sources = [tmp_path / "a.png", PICTURES[1], tmp_path / "b.png"]
    frozen, learning = load_vlm(folder), load_vlm(folder, tuning=WHOLE)
    wanted = frozen.image_features(sources)
    decoded = []
    real = seeing._decoded
    monkeypatch.setattr(seeing, "_decoded", lambda source: decoded.append(source) or real(source))
    for times in (3, 1, 1):  # what cannot be read is tried again
        decoded.clear()
        for one, other in zip(learning.image_features(sources), wanted, strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one.values, other.values, atol=1e-6)
        assert len(decoded) == times
    (tmp_path / "a.png").write_bytes(PICTURES[2])
    (changed,) = learning.image_features(sources[:1])
    assert not torch.allclose(changed.values, wanted[0].values)
    decoded.clear()
    frozen.image_features(sources[:1])
    frozen.image_features(sources[:1])
    assert len(decoded) == 2


def test_no_more_pictures_are_kept_than_there_is_room_for(folder):
    pixels = load_vlm(folder).family.prepare(seeing._decoded(PICTURES[0]).image)
    kept = KeptPixels(2 * 3 * 32 * 32 * 4)
    for key in (b"a", b"a", b"b", b"c"):
        kept.put(key, pixels)
    assert len(kept) == 2
    assert kept.get(b"a") is pixels
    assert kept.get(b"c") is None
    assert kept.get(None) is None
