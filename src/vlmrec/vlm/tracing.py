"""What a training step holds in memory and computes, found by walking through it without data.

The network lies on torch's "meta" device: its tensors have shapes and no values. The real code
of a family runs over them forwards and backwards, while every storage that comes and goes is
counted. Nothing is loaded, and no family needs a formula of its own.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

_ATTENTION_BACKWARD = 2.5  # products of the fused backward per product forward: 5 against 2


@dataclass(frozen=True)
class Speed:
    """What a device really does in a second.

    Attributes:
        operations: Multiplications and additions of large matrices, in a second.
        bytes: Memory read and written by plain operations, in a second.
    """

    operations: float
    bytes: float


class Meter(TorchDispatchMode):
    """Counts the bytes of live tensors, and the time that operations should take.

    Tensors that were made before the block do not count; nor do buffers inside a kernel.

    Args:
        speed: Of the device; None counts no time.

    Attributes:
        now: Bytes alive.
        peak: Most bytes alive since `restart`.
        seconds: Sum over operations of what takes longer, computing or moving bytes.
        operations: Multiplications and additions.
    """

    def __init__(self, speed: Speed | None = None) -> None:
        super().__init__()
        self._speed = speed
        self._alive: dict[int, Any] = {}
        self._older: dict[int, Any] = {}
        self._shapes = _KnownShapes()
        self.now = self.peak = 0
        self.seconds = self.operations = 0.0

    def restart(self) -> None:
        """Forgets the peak and the time so far."""
        self.peak, self.seconds, self.operations = self.now, 0.0, 0.0

    def work(self, operations: float, moved: float) -> None:
        """Adds one piece of work to the time."""
        self.operations += operations
        if self._speed is not None:
            self.seconds += max(operations / self._speed.operations, moved / self._speed.bytes)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        read = [*_tensors(args), *_tensors(kwargs.values())]
        for one in read:
            self._pass_over(one.untyped_storage())
        out = self._shapes.result(func, args, kwargs, read)
        made = list(_tensors((out,)))
        for one in made:
            self._watch(one.untyped_storage())
        if not func.is_view and not func.overloadpacket.__name__.startswith(("empty", "new_empty")):
            self.work(_operations(func, args, kwargs, out), sum(map(_bytes, [*read, *made])))
        return out

    def _pass_over(self, storage: Any) -> None:
        """Remembers a storage that is older than the block, so that its views do not count."""
        key = storage._cdata
        if key not in self._alive and key not in self._older:
            self._older[key] = weakref.ref(storage, lambda _: self._older.pop(key, None))

    def _watch(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._alive or key in self._older:
            return
        size = storage.nbytes()

        def gone(_: object) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


class _KnownShapes:
    """Remembers what operations return: layers are alike, and torch is slow to find it out."""

    def __init__(self) -> None:
        self._known: dict[Any, list[tuple[Any, ...]] | None] = {}

    def result(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], read: list[Tensor]
    ) -> Any:
        """Returns what `func` does: new tensors without values where they are known."""
        known_kind = not func.is_view and not func._schema.is_mutable
        if not (known_kind and read and all(one.is_meta for one in read)):
            return func(*args, **kwargs)
        key = (func, _signature(args), _signature(tuple(kwargs.items())))
        try:
            known = self._known.get(key)
        except TypeError:  # an argument that cannot be compared
            return func(*args, **kwargs)
        if known is not None:
            made = tuple(None if one is None else _new(*one) for one in known)
            return made if len(func._schema.returns) > 1 else made[0]
        out = func(*args, **kwargs)
        self._known[key] = _description(out, read)
        return out


def _signature(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (value.shape, value.stride(), value.dtype)
    if isinstance(value, list | tuple):
        return tuple(_signature(one) for one in value)
    return (type(value), value)


def _description(out: Any, read: list[Tensor]) -> list[Any] | None:
    """Returns how to make tensors like `out`, or None where they share memory with others."""
    older = {one.untyped_storage()._cdata for one in read}
    parts = list(out) if isinstance(out, list | tuple) else [out]
    found: list[Any] = []
    for one in parts:
        if one is None:
            found.append(None)
        elif not isinstance(one, Tensor) or one.untyped_storage()._cdata in older:
            return None
        else:
            found.append((one.shape, one.stride(), one.dtype))
    return found


def _new(shape: Any, stride: Any, dtype: torch.dtype) -> Tensor:
    return torch.empty_strided(shape, stride, dtype=dtype, device="meta")


class WithoutData(TorchFunctionMode):
    """Lets code written for real tensors run where weights and states have no values.

    Masks, ids and positions stay real, because code branches on their values; they turn into
    shapes where they meet states. Attention keeps what the fused kernels of CPU and CUDA keep:
    its inputs, its output, one number a row, and a mask in the numbers of the inputs.

    Args:
        meter: Told of the work of attention.
    """

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.__name__ == "__get__":  # of an attribute, most calls by far
            return func(*args)
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return _attention(self._meter, *args, **kwargs)
        if func is Tensor.to and not args[0].is_meta:
            return _to_anything_but_another_device(args, kwargs)
        if func is Tensor.masked_scatter and args[0].is_meta:
            return _Scatter.apply(args[0], args[2])
        kinds = {one.is_meta for one in _tensors((*args, *kwargs.values())) if one.dim()}
        if len(kinds) == 2:  # some with values, some without
            if func in (Tensor.__getitem__, Tensor.__setitem__):
                args = (args[0], _places(args[1]), *args[2:])
            args, kwargs = tree_map_only(Tensor, _shape_only, (args, kwargs))
        return func(*args, **kwargs)


def backward(root: Tensor, gradient: Tensor) -> None:
    """Goes back from `root` inside `WithoutData`, activations computed again included.

    torch's own entry leaves the mode before it starts, and would compute them without it.
    """
    _engine_run_backward(
        (root,), (gradient,), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


class _Attention(torch.autograd.Function):
    """Keeps what the fused kernels keep, and computes nothing."""

    @staticmethod
    def forward(ctx: Any, count: Any, q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
        out = torch.empty_like(q)  # [B, H, T, D / H]
        rows = torch.empty(q.shape[:-1], dtype=torch.float32, device="meta")
        ctx.save_for_backward(q, k, v, mask, out, rows)
        ctx.count = count
        count(1.0)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *_ = ctx.saved_tensors
        ctx.count(_ATTENTION_BACKWARD)
        return None, torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), None


class _Scatter(torch.autograd.Function):
    """Puts rows of pictures among rows of words."""

    @staticmethod
    def forward(ctx: Any, words: Tensor, rows: Tensor) -> Tensor:
        ctx.rows = rows.shape, rows.dtype
        return torch.empty_like(words)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        shape, dtype = ctx.rows
        return torch.empty_like(grads[0]), torch.empty(shape, dtype=dtype, device="meta")


def _attention(
    meter: Meter,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *unused: Any,
    **also_unused: Any,
) -> Tensor:
    del unused, also_unused
    if attn_mask is not None:
        attn_mask = torch.empty(attn_mask.shape, dtype=query.dtype, device="meta")
    products = 4.0 * query.numel() * key.shape[-2]
    moved = sum(map(_bytes, (query, key, value))) + (0 if attn_mask is None else _bytes(attn_mask))
    count: Callable[[float], None] = lambda times: meter.work(times * products, times * moved)  # noqa: E731
    return _Attention.apply(count, query, key, value, attn_mask)  # pyright: ignore[reportReturnType]


def _to_anything_but_another_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    kept = [one for one in args[1:] if isinstance(one, torch.dtype)]
    kept += [one for name, one in kwargs.items() if name == "dtype" and one is not None]
    return args[0].to(*kept[:1]) if kept else args[0]


def _places(index: Any) -> Any:
    """Returns an index in which true places are numbers: how many there are is then known."""
    parts = index if isinstance(index, tuple) else (index,)
    found: list[Any] = []
    for part in parts:
        if isinstance(part, Tensor) and part.dtype == torch.bool and not part.is_meta:
            found.extend(part.nonzero(as_tuple=True))
        else:
            found.append(part)
    return tuple(found)


def _shape_only(one: Tensor) -> Tensor:
    if one.is_meta or one.dim() == 0:
        return one
    return torch.empty(one.shape, dtype=one.dtype, device="meta")


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for one in values:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, list | tuple):
            yield from _tensors(one)


def _bytes(one: Tensor) -> int:
    return one.numel() * one.element_size()


def _operations(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> float:
    count = flop_registry.get(func.overloadpacket)
    return 0.0 if count is None else float(count(*args, **kwargs, out_val=out))
