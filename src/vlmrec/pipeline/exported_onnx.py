"""A run as a folder that anybody serves with onnxruntime and NumPy alone."""

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.columns import ITEM_ID, PADDING_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, atomic_folder, refuse_existing, write_json
from vlmrec.core.inner_product import InnerProduct
from vlmrec.core.protocols import Ranker
from vlmrec.core.tensors import latest
from vlmrec.pipeline.indexing import example_histories, inner_product
from vlmrec.pipeline.onnx_graph import INPUT, OUTPUT, require_graph, write_graph
from vlmrec.pipeline.run import Run

GRAPH, KEYS, NAMES, RECORD, README = (
    "model.onnx",
    "items.npy",
    "items.json",
    "model.json",
    "README.md",
)
_TEMPLATE = Path(__file__).with_name("onnx_readme.md")
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
"""What rounding may make of a query; a graph that differs by more is refused."""


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        max_len: How many of the latest items of a history the graph reads.
        width: Numbers of a query and of an item vector.
        items: Item vectors.
        compared: Histories that onnxruntime and the model were compared on.
        largest_difference: Between their queries.
    """

    max_len: int
    width: int
    items: int
    compared: int
    largest_difference: float


def export_onnx(
    run: Run | str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> OnnxExport:
    """Writes the user encoder as an ONNX graph, with the items and how to use both.

    The graph turns histories ``[B, T] int64`` of item rows (1 to I, padded with 0 on the right, any
    T) into queries ``[B, W] float32``. The inner product of a query and a row of ``items.npy``
    is the score by which `recommend` ranks.

    Args:
        run: A run or its folder.
        out: Folder to write.
        overwrite: Replace the folder.

    Raises:
        ConfigError: The model has no user encoder that can be written.
        MissingExtraError: A package of the extra ``onnx`` is not installed.
        ArtifactError: The graph does not compute what the model does, or the run is damaged.
        DataError: The folder is taken, read-only or full.
    """
    target = Path(out)
    refuse_existing(target, overwrite=overwrite)
    run = run if isinstance(run, Run) else Run.load(run)
    require_graph(run)
    ranker = run.ranker()
    inner = inner_product(ranker)
    if inner is None:
        raise ValueError("A sequence model's scores are inner products.")
    keys = inner.keys[1:].float().cpu().numpy()  # [I, W]
    with atomic_folder(target, overwrite=overwrite) as folder:
        write_graph(run, folder / GRAPH)
        histories = _histories(run, ranker)
        difference = _difference(folder / GRAPH, histories, ranker, inner)
        done = OnnxExport(ranker.max_len, keys.shape[1], len(keys), len(histories), difference)
        with atomic_file(folder / KEYS) as temporary, temporary.open("wb") as file:
            np.save(file, keys)
        write_json(folder / NAMES, run.items[ITEM_ID].to_list())
        write_json(folder / RECORD, _record(run, done))
        with atomic_file(folder / README) as temporary:
            temporary.write_text(_readme(run, done), encoding="utf-8")
    return done


def _histories(run: Run, ranker: Ranker) -> Tensor:
    """Returns ``[H, max_len + 5] int64`` histories, some of them longer than the model reads."""
    short = example_histories(run)
    rows = torch.zeros(len(short) + 1, ranker.max_len + 5, dtype=torch.int64)
    rows[:-1, : short.shape[1]] = short
    items = short[short != PADDING_ID]
    rows[-1] = items[torch.arange(rows.shape[1]) % len(items)]
    return rows


def _difference(graph: Path, histories: Tensor, ranker: Ranker, inner: InnerProduct) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = cast("NDArray[np.float32]", session.run([OUTPUT], {INPUT: histories.numpy()})[0])
    read = latest(histories, ranker.max_len).to(ranker.device)
    expected = inner.queries(ranker.encode(read)).float().cpu().numpy()
    if not np.allclose(found, expected, rtol=_RELATIVE, atol=_ABSOLUTE):
        raise ArtifactError(
            "The ONNX graph gives other queries than the model: they differ by up to "
            f"{np.abs(found - expected).max():.3g}. Nothing was kept.",
            "Try other versions of torch and onnxscript, and report this.",
        )
    return float(np.abs(found - expected).max())


def _record(run: Run, done: OnnxExport) -> dict[str, Any]:
    packages = ("vlmrec", "torch", "onnx", "onnxscript", "onnxruntime")
    return {
        "model": run.spec.name,
        "inputs": {INPUT: {"type": "int64", "shape": ["batch", "length"], "padding": PADDING_ID}},
        "outputs": {OUTPUT: {"type": "float32", "shape": ["batch", done.width]}},
        "score": f"inner product of a {OUTPUT} and a row of {KEYS}",
        "max_len": done.max_len,
        "items": done.items,
        "compared": {
            "histories": done.compared,
            "largest_difference": done.largest_difference,
        },
        "dataset_fingerprint": run.info["dataset"]["fingerprint"],
        "versions": {name: version(name) for name in packages},
    }


def _readme(run: Run, done: OnnxExport) -> str:
    text = _TEMPLATE.read_text(encoding="utf-8")
    known = {"model": run.spec.name, "max_len": done.max_len, "width": done.width}
    for name, value in {**known, "items": done.items, "first": _example(run)}.items():
        text = text.replace(f"<{name}>", str(value))
    return text


def _example(run: Run) -> str:
    """Returns two item ids as a Python list."""
    return json.dumps(run.items[ITEM_ID].head(2).to_list(), ensure_ascii=False)
