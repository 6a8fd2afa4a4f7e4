"""The user side of a next-item model as an ONNX graph: histories in, queries out.

The graph is what `vlmrec.core.protocols.Ranker.encode` computes. It holds the item vectors that
histories are read with, so that it has one input and nobody can feed it vectors of another run.
"""

import copy
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.errors import ConfigError, MissingExtraError
from vlmrec.models.body_users import BodyUsers
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.pipeline.indexing import inner_product
from vlmrec.pipeline.run import Run
from vlmrec.users.fpmc import UserFactors

INPUT, OUTPUT = "items", "query"
"""Names of the graph's only input and output."""
_EXAMPLE = torch.tensor([[1] * 5, [1] * 4 + [PADDING_ID], [1] + [PADDING_ID] * 4])
"""Rows and columns differ in number, and are more than one: what is 1 is taken for fixed."""


def require_graph(run: Run) -> None:
    """Refuses a run whose users are not encoded by a small network over item vectors.

    Raises:
        ConfigError: It is one.
    """
    model = run.model
    if isinstance(model, SequenceRecommender) and not isinstance(model.users, BodyUsers):
        return
    raise ConfigError(
        f"'{run.spec.name}' has no user encoder that becomes an ONNX graph; those of sasrec, "
        "sasrec-content, gru4rec, bert4rec, duorec and fpmc do. Language models have runtimes of "
        "their own, and counting models have no user vectors.",
        "Write the vectors of known users with vlmrec export vectors, if the model has any.",
    )


def write_graph(run: Run, path: Path) -> None:
    """Writes the graph.

    Args:
        run: Of a model that `require_graph` accepts.
        path: File to write; weights of more than 2 GB go into a file beside it.

    Raises:
        ConfigError: The user encoder holds what ONNX cannot say.
        MissingExtraError: A package of the extra ``onnx`` is not installed.
    """
    _require_packages()
    queries = _UserQueries(run).eval()
    shape = ({0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", min=1)},)
    try:
        with _quiet_exporter():
            program = torch.export.export(queries, (_EXAMPLE,), dynamic_shapes=shape, strict=False)
            made = torch.onnx.export(
                program,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=shape,
                verbose=False,
            )
            if made is None:
                raise RuntimeError("the exporter gave nothing back")
            made.save(path)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"The user encoder of '{run.spec.name}' cannot be written as an ONNX graph: {reason}",
            "Its forward must have no branches that depend on values.",
        ) from error


class _UserQueries(nn.Module):
    """Histories of any length to queries.

    Args:
        run: Whose user encoder it is.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        model = _made_for_graphs(cast("SequenceRecommender", run.model))
        self.model = model  # so that its weights are weights of the graph
        self._ranker = replace(run, model=model).ranker()
        inner = inner_product(self._ranker)
        if inner is None:
            raise ValueError("A sequence model's scores are inner products.")
        self._inner = inner

    def forward(self, items: Tensor) -> Tensor:
        """Returns ``[B, W] float32`` queries of histories ``[B, T] int64``, padded on the right."""
        return self._inner.queries(self._ranker.encode(_latest(items, self._ranker.max_len)))


def _latest(items: Tensor, n: int) -> Tensor:
    """Returns what `vlmrec.core.tensors.latest` does, without its branch on the length."""
    length = (items != PADDING_ID).sum(dim=1, keepdim=True)  # [B, 1]
    read = torch.arange(cast("int", torch.sym_min(items.shape[1], n)), device=items.device)
    places = (length - n).clamp_min(0) + read  # [B, min(T, n)]
    return items.gather(1, places.clamp_max(items.shape[1] - 1)) * (places < length)


def _made_for_graphs(model: SequenceRecommender) -> SequenceRecommender:
    """Returns a copy that shares all but what a graph says otherwise, or should not say."""
    twin = copy.copy(model)
    twin._modules = dict(model._modules)
    twin.users = copy.deepcopy(model.users)
    for parent in list(twin.users.modules()):
        if isinstance(parent, UserFactors):  # a graph knows nobody: it is asked with a history
            parent.weight = nn.Parameter(torch.zeros(1, parent.weight.shape[1]))
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GRU):
                setattr(parent, name, _GatedLayer(child))
    return twin


class _GatedLayer(nn.Module):
    """One recurrent layer as ONNX's own operator.

    The exporter would write it as a loop that fits one number of rows only.

    Args:
        layer: Of one direction, batch first.
    """

    def __init__(self, layer: nn.GRU) -> None:
        super().__init__()
        self.width = layer.hidden_size

        def gates(weight: Tensor) -> Tensor:
            reset, update, new = weight.detach().chunk(3)
            return torch.cat([update, reset, new])[None]  # the order of ONNX

        found = dict(layer.named_parameters())
        shifts = [gates(found[f"bias_{side}_l0"]) for side in ("ih", "hh")]
        self.register_buffer("read", gates(found["weight_ih_l0"]))  # [1, 3H, D]
        self.register_buffer("carried", gates(found["weight_hh_l0"]))  # [1, 3H, H]
        self.register_buffer("shift", torch.cat(shifts, dim=1))  # [1, 6H]

    def forward(self, states: Tensor) -> tuple[Tensor, None]:
        """Returns ``[B, T, H]`` for ``[B, T, D]``, and nothing for the last state."""
        B, T, _ = states.shape
        weights = [self.get_buffer(name) for name in ("read", "carried", "shift")]
        made = torch.onnx.ops.symbolic(
            "GRU",
            (states.transpose(0, 1), *weights),
            {"hidden_size": self.width, "linear_before_reset": 1},
            dtype=states.dtype,
            shape=(T, 1, B, self.width),
            version=14,
        )
        return made[:, 0].transpose(0, 1), None


def _require_packages() -> None:
    from importlib.util import find_spec

    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "onnx", "Export to ONNX")


@contextmanager
def _quiet_exporter() -> Generator[None]:
    """Keeps what torch says of its own insides from users, who cannot act on it."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
