"""InternVL 2.5 and 3 in transformers' layout: tiles of one size and a thumbnail."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.families.base import Family, PictureTokens, Pixels
from vlmrec.vlm.options import VlmOptions


class InternVL(Family):
    """A picture is cut into tiles by its shape; every tile has the same number of places."""

    name = "internvl"
    budgets = frozenset({"max_tiles"})
    image_token = "<IMG_CONTEXT>"  # noqa: S105
    frame = ("<img>", "</img>")

    @classmethod
    def budget_options(cls, options: VlmOptions, processor: Any) -> dict[str, Any]:
        """Returns how many tiles the image processor may make; it tiles unless only one."""
        del processor
        if options.max_tiles is None:
            return {"crop_to_patches": True}
        return {"crop_to_patches": options.max_tiles > 1, "max_patches": options.max_tiles}

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower and its projector."""
        return [self.network.model.vision_tower, self.network.model.multi_modal_projector]

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns tiles ``[n, 3, H, W]``; the shape is their number."""
        made = self.process(image)
        return Pixels((len(made["pixel_values"]),), {"pixel_values": made["pixel_values"]})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns start, the places of all tiles, end."""
        places = shape[0] * int(self.settings.get("image_seq_length", 256))
        start, end = self.tokenizer.convert_tokens_to_ids(list(self.frame))
        ids = (start, *[self.image_token_id] * places, end)
        return PictureTokens(ids, (False, *[True] * places, False))

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the projected tiles ``[n_i, D]`` of each picture."""
        tiles = torch.cat([one.tensors["pixel_values"] for one in pictures])
        device = self.word_embeddings.weight.device
        seen = self.network.model.get_image_features(tiles.to(device), return_dict=True)
        parts = seen.pooler_output.split([one.shape[0] for one in pictures])
        return [part.flatten(0, 1) for part in parts]
