"""Qwen2-VL (arXiv 2409.12191): dynamic resolution, 2 x 2 patches to a token, M-RoPE."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.families.base import Family, PictureTokens, Pixels, PromptBatch
from vlmrec.vlm.options import VlmOptions


class Qwen2VL(Family):
    """A picture is its grid of merged patches between two frame tokens.

    Positions have three axes (time, height, width): a word advances all three, a picture
    advances them by its longer side, so positions are computed from the prompt's layout.
    """

    name = "qwen2_vl"
    budgets = frozenset({"min_pixels", "max_pixels"})
    image_token = "<|image_pad|>"  # noqa: S105
    frame = ("<|vision_start|>", "<|vision_end|>")

    @classmethod
    def budget_options(cls, options: VlmOptions, processor: Any) -> dict[str, Any]:
        """Returns the bounds of a picture's area in pixels."""
        size = processor.size
        return {
            "size": {
                "shortest_edge": options.min_pixels or size["shortest_edge"],
                "longest_edge": options.max_pixels or size["longest_edge"],
            }
        }

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower, merger included."""
        return [self.network.model.visual]

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns patches ``[P, C * t * p * p]``; the shape is the grid (time, height, width)."""
        made = self.process(image)
        grid = tuple(int(side) for side in made["image_grid_thw"][0])
        return Pixels(grid, {"pixel_values": made["pixel_values"]})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns start, one place for each merged patch, end."""
        time, height, width = shape
        places = time * height * width // self.image_processor.merge_size**2
        start, end = self.tokenizer.convert_tokens_to_ids(list(self.frame))
        pad = self.config.image_token_id
        return PictureTokens((start, *[pad] * places, end), (False, *[True] * places, False))

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the merged patches ``[n_i, D]`` of each picture."""
        tower = self.network.model.visual
        device = next(tower.parameters()).device
        patches = torch.cat([one.tensors["pixel_values"] for one in pictures]).to(device)
        grid = torch.tensor([one.shape for one in pictures], device=device)
        seen = self.network.model.get_image_features(patches, grid, return_dict=True)
        return self.rows(seen)

    def rows(self, seen: Any) -> list[Tensor]:
        """Returns the features of each picture from the tower's output."""
        return list(seen.pooler_output)

    def positions(self, batch: PromptBatch) -> Tensor:
        """Returns ``[3, B, T] int64`` M-RoPE positions."""
        if not batch.features:
            return super().positions(batch).expand(3, *batch.mask.shape)
        grid = torch.tensor([one.shape for one in batch.features], device=batch.ids.device)
        found, _ = self.network.model.get_rope_index(
            batch.ids,
            mm_token_type_ids=batch.filled.int(),
            image_grid_thw=grid,
            attention_mask=batch.mask.long(),
        )
        return found
