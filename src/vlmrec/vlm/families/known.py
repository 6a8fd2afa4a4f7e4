"""The families by the ``model_type`` in a checkpoint's config.json: one line each."""

from vlmrec.vlm.families.base import Family
from vlmrec.vlm.families.deepseek_vl import DeepseekVL
from vlmrec.vlm.families.internvl import InternVL
from vlmrec.vlm.families.mllama import Mllama
from vlmrec.vlm.families.qwen2_5_vl import Qwen25VL
from vlmrec.vlm.families.qwen2_vl import Qwen2VL
from vlmrec.vlm.families.qwen3_vl import Qwen3VL
from vlmrec.vlm.families.smolvlm import SmolVLM

FAMILIES: dict[str, type[Family]] = {
    "qwen2_vl": Qwen2VL,
    "qwen2_5_vl": Qwen25VL,
    "qwen3_vl": Qwen3VL,
    "internvl": InternVL,
    "deepseek_vl": DeepseekVL,
    "mllama": Mllama,
    "smolvlm": SmolVLM,
}
