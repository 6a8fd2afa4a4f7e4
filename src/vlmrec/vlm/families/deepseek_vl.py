"""DeepSeek-VL (arXiv 2403.05525): every picture padded to one square, always as many places."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.families.base import Family, PictureTokens, Pixels


class DeepseekVL(Family):
    """A picture is a run of places without a frame."""

    name = "deepseek_vl"
    image_token = "<image_placeholder>"  # noqa: S105

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower and its projector."""
        return [self.network.model.vision_model, self.network.model.aligner]

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns the padded square ``[1, 3, H, W]``."""
        return Pixels((), {"pixel_values": self.process(image)["pixel_values"]})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns the places of a picture."""
        del shape
        places = int(self.settings.get("num_image_tokens", 576))
        return PictureTokens((self.image_token_id,) * places, (True,) * places)

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the projected patches ``[n, D]`` of each picture."""
        pixels = torch.cat([one.tensors["pixel_values"] for one in pictures])
        device = self.word_embeddings.weight.device
        pixels = pixels.to(device, self.word_embeddings.weight.dtype)
        return list(self.network.model.get_image_features(pixels, return_dict=True).pooler_output)
