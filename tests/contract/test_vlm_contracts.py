"""Every family passes the shipped suite against the plain way through transformers."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.reference import compact_forward
from tests.reference.vlm_forward import direct_states, direct_token_loss
from tests.tiny_vlms import write_tiny_vlm

from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.testing.vlms import PlainForward, VlmContract
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.prompts import SpecialPart, TextPart, make_prompt


class FromFolder(VlmContract):
    """A family whose tiny checkpoint takes the path of a user's."""

    family: str
    opening: str | None = None
    """What the tokenizer writes in front of a prompt, where the plain way would write it twice."""
    folder: Path

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _write(cls, tmp_path_factory):
        cls.folder = write_tiny_vlm(cls.family, tmp_path_factory.mktemp(cls.family))

    def load(self, options=None, tuning=None):
        return load_vlm(str(self.folder), options, tuning)

    def plain(self, prompt):
        parts, settings = self._parts(prompt)
        found = direct_states(self.folder, [parts], **settings)
        return PlainForward(
            found.input_ids[0],
            found.last_hidden_state[0],
            found.is_image[0],
            torch.isin(found.input_ids[0], self._picture_ids()),
        )

    def plain_loss(self, prompt, answer):
        parts, settings = self._parts(prompt)
        return direct_token_loss(self.folder, [parts], [answer], **settings)[0]

    def _picture_ids(self):
        """The tokens of pictures and their frames: those of a prompt that is a picture alone."""
        picture = noise_picture(0, 40, 24)
        parts, settings = self._parts(make_prompt(picture))
        ids = direct_states(self.folder, [parts], **settings).input_ids[0]
        bare, settings = self._parts(make_prompt("a red cup"))
        return ids[~torch.isin(ids, direct_states(self.folder, [bare], **settings).input_ids[0])]

    def _parts(self, prompt):
        parts = [_plain_part(part) for part in prompt]
        if self.opening is None:
            return parts, {}
        return [("special", self.opening), *parts], {"add_special_tokens": False}


def _plain_part(part):
    if isinstance(part, TextPart):
        return ("text", part.text)
    if isinstance(part, SpecialPart):
        return ("special", part.name)
    return ("image", Image.open(io.BytesIO(part.source)))


class TestQwen2VL(FromFolder):
    family, own_token = "qwen2_vl", "<|im_end|>"


class TestQwen25VL(FromFolder):
    family, own_token = "qwen2_5_vl", "<|im_end|>"


class TestQwen3VL(FromFolder):
    family, own_token = "qwen3_vl", "<|im_end|>"


class TestInternVL(FromFolder):
    family, own_token = "internvl", "<|im_end|>"


class TestDeepseekVL(FromFolder):
    family, own_token = "deepseek_vl", "<|User|>"


class TestMllama(FromFolder):
    family, own_token = "mllama", "<|eot_id|>"
    opening = "<|begin_of_text|>"


class TestSmolVLM(FromFolder):
    family, own_token = "smolvlm", "<end_of_utterance>"


class TestTiny(VlmContract):
    """Against the forward pass written out, whose masks are matrices."""

    name, own_token = "tiny", "[MASK]"
    looks_ahead = True

    def load(self, options=None, tuning=None):
        return load_vlm(self.name, options, tuning)

    @torch.no_grad()
    def plain(self, prompt):
        ids, visual, embeddings = compact_forward.embedded(self.model().family, prompt)
        allowed = torch.ones(len(ids), len(ids), dtype=torch.bool)
        states = compact_forward.states(self.model().family.network, embeddings, allowed)
        return PlainForward(ids, states, visual, visual)

    @torch.no_grad()
    def plain_loss(self, prompt, answer):
        family = self.model().family
        *_, embeddings = compact_forward.embedded(family, prompt)
        ids = family.tokenizer(answer, add_special_tokens=False)["input_ids"]
        target = torch.tensor([*ids, family.tokenizer.sep_token_id])
        return compact_forward.token_loss(family.network, embeddings, target)
