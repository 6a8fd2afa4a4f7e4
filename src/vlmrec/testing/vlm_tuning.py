"""What tuning must do to every vision-language model, and which weights it must leave alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vlmrec.core.dropout import DropoutStream, attach
from vlmrec.core.errors import ConfigError
from vlmrec.core.random import Streams
from vlmrec.testing.vlm_samples import ANSWERS, MIXED, SMALL, WORDS, with_tokens
from vlmrec.testing.vlm_under_test import BATCH, PLAIN, VlmUnderTest, assert_close, laid_out
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import Prompt, SpecialPart, make_prompt
from vlmrec.vlm.tuning import merge_lora, merged_state
from vlmrec.vlm.visual_cache import VisualCache

_LORA = TuningOptions(kind="lora", rank=3, alpha=6)
_FULL = TuningOptions(kind="full")
_CLEARLY = 1e-2  # smallest difference that is no rounding
_ITEM = "[Cur_Item]"


class TuningContract(VlmUnderTest):
    """The promises of `vlmrec.vlm.tuning` and of learned tokens."""

    def test_frozen_by_default(self) -> None:
        """No weight learns, added tokens neither, and vectors carry no graph."""
        model = self.model()
        model.add_special_tokens([_ITEM])
        assert not any(weight.requires_grad for weight in model.parameters())
        assert not model.encode(with_tokens(_ITEM), pooling=_ITEM).requires_grad

    def test_fresh_lora_changes_nothing(self) -> None:
        """It starts from the checkpoint, and from the seed alone."""
        before = torch.get_rng_state()
        model = self.load(tuning=_LORA)
        assert torch.equal(torch.get_rng_state(), before)
        assert_close(model.encode(MIXED), self.model().encode(MIXED), 1e-6, "fresh LoRA")
        again = self.load(tuning=_LORA).state_dict()
        assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())

    @torch.no_grad()
    def test_merged_lora_equals_unmerged(self) -> None:
        """Weights merged in place, and merged weights put into a model without LoRA."""
        model = self.model(tuning=_LORA)
        _randomise_lora(model)
        wanted = model.encode(MIXED)
        assert (wanted - self.model().encode(MIXED)).abs().amax(dim=1).min() > _CLEARLY
        plain = self.model()
        plain.load_state_dict(merged_state(model))
        assert_close(plain.encode(MIXED), wanted, 10 * PLAIN, "exported weights")
        merge_lora(model)
        assert_close(model.encode(MIXED), wanted, 10 * PLAIN, "merged weights")
        assert model.state_dict().keys() == plain.state_dict().keys()
        assert model.describe()["weights_sha256"] == plain.describe()["weights_sha256"]

    def test_mixed_products_stay_near(self) -> None:
        """bfloat16 products round vectors by about a hundredth, and gradients arrive in float32."""
        exact, mixed = self.model(), self.load(VlmOptions(dtype="mixed"), _LORA)
        with torch.no_grad():
            near = torch.cosine_similarity(exact.encode(MIXED), mixed.encode(MIXED))
        assert near.min() > 0.99
        mixed.train().encode(MIXED).square().sum().backward()
        given = [weight.grad for weight in mixed.parameters() if weight.grad is not None]
        assert given
        assert all(one.dtype == torch.float32 and one.isfinite().all() for one in given)

    def test_mixed_products_look_back_only(self) -> None:
        """Under every kind of attention: the eager one takes masks of another type."""
        exact, mixed = self.model(), self.load(VlmOptions(dtype="mixed"))
        inputs = torch.randn(2, 5, mixed.width, generator=Streams(0).torch("inputs"))
        later = inputs.clone()
        later[:, 3:] += 1.0
        mask = torch.ones(2, 5, dtype=torch.bool)
        with torch.no_grad():
            states, changed = mixed.body(inputs, mask), mixed.body(later, mask)
        assert torch.equal(states[:, :3], changed[:, :3])
        assert not torch.equal(states[:, 3:], changed[:, 3:])
        if exact.family.can_generate:
            answers = ["a red cup"] * len(MIXED)
            with torch.no_grad():
                losses = [one.token_loss(MIXED, answers) for one in (exact, mixed)]
            torch.testing.assert_close(losses[1], losses[0], rtol=0.05, atol=0.05)

    def test_lora_leaves_all_other_weights_alone(self) -> None:
        """Gradients reach every LoRA matrix, learned tokens and connectors; nothing else."""
        model = self.model(tuning=_LORA)
        model.add_special_tokens([_ITEM])
        _randomise_lora(model)
        _loss(model).backward()
        connectors = {id(one) for part in model.family.connectors for one in part.parameters()}
        for name, weight in model.named_parameters():
            learns = "lora_" in name or name == "learned.table" or id(weight) in connectors
            assert learns == (weight.grad is not None and bool(weight.grad.any())), name
            assert weight.requires_grad == learns, name

    def test_full_tuning_reaches_the_body_and_vision_only_when_asked(self) -> None:
        """Visual features stay as they are, and can be cached, unless `vision` is set."""
        for vision in (False, True):
            model = self.model(tuning=_FULL.model_copy(update={"vision": vision}))
            assert model.vision_learns == vision
            _loss(model).backward()
            reached = _reached(model)
            body = {id(one) for one in model.family.language.parameters()}
            names = [n for n, one in model.named_parameters() if id(one) in body]
            assert len(reached & set(names)) > 0.9 * len(names)
            tower = {id(one) for part in model.family.vision for one in part.parameters()}
            seen = {n for n, one in model.named_parameters() if id(one) in tower}
            assert bool(reached & seen) == vision
            features = model.image_features([SMALL])[0]
            assert features is not None
            assert features.values.requires_grad == vision
            if vision:
                with pytest.raises(ConfigError, match="while the vision tower learns"):
                    model.use_visual_cache(VisualCache(Path("never written"), "{}"))

    def test_checkpointing_gives_the_same_gradients(self) -> None:
        """Dropout included: the second forward pass drops what the first one did."""
        found: list[dict[str, Tensor]] = []
        for checkpointing in (False, True):
            update = {"dropout": 0.3, "gradient_checkpointing": checkpointing}
            model = self.model(tuning=_LORA.model_copy(update=update)).train()
            _randomise_lora(model)
            attach(model, DropoutStream(Streams(0)))
            runs = _count_runs(model)
            loss = _loss(model)
            forward = len(runs)
            loss.backward()
            assert len(runs) == forward * (2 if checkpointing else 1)
            found.append(_gradients(model))
        plain, cheap = found
        assert plain.keys() == cheap.keys()
        for name, gradient in plain.items():
            scale = max(1.0, float(gradient.abs().max()))
            assert_close(cheap[name], gradient, BATCH * scale, name)

    def test_targets_that_match_nothing(self) -> None:
        """The message names the layers there are."""
        wrong = TuningOptions(kind="lora", targets=("c_attn",))
        with pytest.raises(ConfigError, match=r"targets c_attn match no linear layer.*are named: "):
            self.load(tuning=wrong)

    def test_targets_choose_the_layers(self) -> None:
        """One target, one kind of layer."""
        target = self.model().family.lora_targets[0]
        model = self.model(tuning=_LORA.model_copy(update={"targets": (target,)}))
        layers = {n.rsplit(".", 3)[0] for n, _ in model.named_parameters() if ".lora_A." in n}
        assert layers
        assert {name.rpartition(".")[2] for name in layers} == {target}

    def test_learned_token_is_read_and_learns(self) -> None:
        """Pooling on it, a gradient in its row only, and adding it again changes nothing."""
        model = self.model(tuning=_LORA)
        model.add_special_tokens(["[Other]", _ITEM])
        table = model.learned.table
        model.add_special_tokens([_ITEM, "[Other]", _ITEM])
        assert model.learned.table is table
        assert model.learned.names == ["[Other]", _ITEM]
        prompts = with_tokens(_ITEM)
        vectors = model.encode(prompts, pooling=_ITEM)
        if not self.looks_ahead:  # what follows the token's last place does not matter
            cut = [_up_to_last_token(prompt) for prompt in prompts]
            assert_close(vectors, model.encode(cut, pooling="last"), BATCH, "cut")
        vectors.square().sum().backward()
        assert table.grad is not None
        assert bool(table.grad[1].any())
        assert not bool(table.grad[0].any())
        with torch.no_grad():
            table[1].add_(torch.randn(model.width, generator=torch.Generator().manual_seed(3)))
        changed = model.encode(prompts, pooling=_ITEM)
        assert (changed - vectors).abs().amax(dim=1).min() > _CLEARLY

    def test_unknown_special_token(self) -> None:
        """In a prompt or as a pooling; the message knows better."""
        model = self.model()
        model.add_special_tokens([_ITEM])
        with pytest.raises(ConfigError, match=r"'\[Cur_Itm\]'.*Did you mean '\[Cur_Item\]'"):
            model.encode([make_prompt("a", SpecialPart("[Cur_Itm]"))])
        with pytest.raises(ConfigError, match=r"pooling 'mena' is neither one of last, mean.*Add"):
            model.encode(WORDS, pooling="mena")
        with pytest.raises(ConfigError, match=r"pooling '\[New\]' is neither.*Add the token"):
            model.encode(WORDS, pooling="[New]")

    def test_names_of_special_tokens_in_texts_are_words(self) -> None:
        """A title cannot open a picture, end a turn or stand for an item."""
        model = self.model()
        model.add_special_tokens([_ITEM])
        tokenizer = model.family.tokenizer
        names = [*tokenizer.get_added_vocab(), *model.family.special_names(), _ITEM]
        special = {*tokenizer.get_added_vocab().values(), model.learned.id_of(_ITEM)}
        for name in dict.fromkeys(names):
            row = laid_out(model, make_prompt("a", name, "b"))
            bare = laid_out(model, make_prompt("a"))
            assert not any(row.filled)
            around = [one for one in bare.ids if one in special]
            assert [one for one in row.ids if one in special] == around, name


def _loss(model: VisionLanguageModel) -> Tensor:
    """Returns something that all weights but those of unused tokens have a part in."""
    loss = model.encode(MIXED).square().mean() + model.token_loss(MIXED, ANSWERS).mean()
    if model.learned.names:
        loss = loss + model.encode(with_tokens(model.learned.names[0])).square().mean()
    return loss


def _randomise_lora(model: VisionLanguageModel) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)


def _gradients(model: VisionLanguageModel) -> dict[str, Tensor]:
    found = {name: weight.grad for name, weight in model.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def _reached(model: VisionLanguageModel) -> set[str]:
    return {name for name, gradient in _gradients(model).items() if bool(gradient.any())}


def _count_runs(model: VisionLanguageModel) -> list[int]:
    """Returns a list that grows whenever the first linear layer of the body runs."""
    runs: list[int] = []
    first = next(one for one in model.family.language.modules() if isinstance(one, nn.Linear))
    first.register_forward_hook(lambda *_: runs.append(1))
    return runs


def _up_to_last_token(prompt: Prompt) -> Prompt:
    last = max(place for place, part in enumerate(prompt) if isinstance(part, SpecialPart))
    return prompt[: last + 1]
