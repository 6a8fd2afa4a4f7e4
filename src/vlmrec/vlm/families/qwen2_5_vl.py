"""Qwen2.5-VL (arXiv 2502.13923): Qwen2-VL with window attention in its vision tower."""

from vlmrec.vlm.families.qwen2_vl import Qwen2VL


class Qwen25VL(Qwen2VL):
    """Laid out like Qwen2-VL; for pictures its M-RoPE positions are the same."""

    name = "qwen2_5_vl"
