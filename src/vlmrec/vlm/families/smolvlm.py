"""SmolVLM (arXiv 2504.05299): rows and columns of named tiles, then the whole picture."""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vlmrec.vlm.families.base import Family, PictureTokens, Pixels
from vlmrec.vlm.options import VlmOptions


class SmolVLM(Family):
    """Every tile has the same number of places, after its row and column as a token."""

    name = "smolvlm"
    budgets = frozenset({"max_tiles"})
    image_token = "<image>"  # noqa: S105
    fence, whole = "<fake_token_around_image>", "<global-img>"

    @classmethod
    def budget_options(cls, options: VlmOptions, processor: Any) -> dict[str, Any]:
        """Returns the largest square of tiles within the budget; one tile is not split."""
        if options.max_tiles is None:
            return {}
        tile = int(processor.max_image_size["longest_edge"])
        edge = isqrt(options.max_tiles) * tile
        return {"do_image_splitting": options.max_tiles > 1, "size": {"longest_edge": edge}}

    @property
    def language(self) -> nn.Module:
        """The transformer body that reads words."""
        return self.network.model.text_model

    @property
    def vision(self) -> Sequence[nn.Module]:
        """The vision tower and its projector."""
        return [self.network.model.vision_model, self.network.model.connector]

    def prepare(self, image: Image.Image) -> Pixels:
        """Returns tiles ``[1, n, 3, H, W]`` and their masks; the shape is (rows, columns)."""
        made = self.process(image, return_row_col_info=True)
        shape = (int(made["rows"][0][0]), int(made["cols"][0][0]))
        names = ("pixel_values", "pixel_attention_mask")
        return Pixels(shape, {name: made[name] for name in names})

    def picture_tokens(self, shape: tuple[int, ...]) -> PictureTokens:
        """Returns the tiles row by row, a line break after each row, and the whole picture."""
        rows, columns = shape
        places = self.image_token * int(self.settings.get("image_seq_len", 169))
        text = ""
        for row in range(1, rows + 1):
            for column in range(1, columns + 1):
                text += f"{self.fence}<row_{row}_col_{column}>{places}"
            text += "\n"
        text += "\n" if rows else ""
        text += f"{self.fence}{self.whole}{places}{self.fence}"
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return PictureTokens(tuple(ids), tuple(one == self.image_token_id for one in ids))

    def see(self, pictures: Sequence[Pixels]) -> list[Tensor]:
        """Returns the projected tiles ``[n_i, D]`` of each picture."""
        device = self.word_embeddings.weight.device
        # Tiles are all of one size, so those of all pictures go through the tower as one picture's.
        tiles, masks = (
            torch.cat([one.tensors[name] for one in pictures], dim=1).to(device)
            for name in ("pixel_values", "pixel_attention_mask")
        )
        seen = self.network.model.get_image_features(tiles, masks, return_dict=True)
        rows = torch.cat(list(seen.pooler_output))
        return list(rows.split([self.feature_rows(one.shape) for one in pictures]))
