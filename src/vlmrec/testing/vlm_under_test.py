"""What a family's test class provides, and how the suites compare."""

import copy
from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from vlmrec.vlm.layout import Row
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.prompts import Prompt

PLAIN = 1e-5
"""Largest difference of values that are computed in the same order."""
BATCH = 1e-4
"""Largest difference that neighbours and padding may make."""


class VlmUnderTest:
    """The model that the suites ask for."""

    own_token: ClassVar[str]
    """One of the checkpoint's own special tokens, other than the picture token."""
    looks_ahead: ClassVar[bool] = False
    """Whether places of a prompt see later ones."""

    _loaded: ClassVar[dict[tuple[VlmOptions, TuningOptions], VisionLanguageModel]]

    @abstractmethod
    def load(
        self, options: VlmOptions | None = None, tuning: TuningOptions | None = None
    ) -> VisionLanguageModel:
        """Returns the model as users load it, on the CPU in float32."""

    @classmethod
    def setup_class(cls) -> None:
        """Forgets what another class has loaded."""
        cls._loaded = {}

    def model(
        self, options: VlmOptions | None = None, tuning: TuningOptions | None = None
    ) -> VisionLanguageModel:
        """Returns a copy with weights of its own, which is quicker than loading."""
        key = (options or VlmOptions(), tuning or TuningOptions())
        if key not in self._loaded:
            self._loaded[key] = self.load(*key)
        model = self._loaded[key]
        shared = [model.family.tokenizer, model.family.image_processor]
        shared += [part.config for part in model.modules() if hasattr(part, "config")]
        return copy.deepcopy(model, {id(one): one for one in shared})


def assert_close(found: Tensor, wanted: Tensor, tolerance: float, what: str) -> None:
    """Raises AssertionError where two tensors differ by more than `tolerance`."""
    assert found.shape == wanted.shape, f"{what}: {found.shape} instead of {wanted.shape}"
    difference = (found.detach() - wanted.detach()).abs().max()
    assert float(difference) <= tolerance, f"{what}: differs by {float(difference):.2g}"


def laid_out(model: VisionLanguageModel, prompt: Prompt) -> Row:
    """Returns a prompt without pictures as the tokens that the model reads."""
    return model.layout.rows([prompt], {})[0]  # pyright: ignore[reportPrivateUsage]
