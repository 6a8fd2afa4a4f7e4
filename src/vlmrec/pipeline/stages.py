"""How rows and stages of a recipe build on stages: "@NAME" in options, and "like: NAME"."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from vlmrec.core.config import merge
from vlmrec.core.errors import ConfigError, nearest

Options = dict[str, Any]


def references(value: object) -> list[str]:
    """Returns the stages that options name, each once, in order.

    >>> references({"mirm": "@mirm", "runs": ["@sasrec", "@mirm"], "dim": 3})
    ['mirm', 'sasrec']
    """
    if isinstance(value, str):
        return [value[1:]] if value.startswith("@") else []
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, object]", value).values()
    elif isinstance(value, list | tuple):
        parts = cast("Iterable[object]", value)
    else:
        return []
    return list(dict.fromkeys(name for part in parts for name in references(part)))


def put_in(value: Any, stages: Mapping[str, str]) -> Any:
    """Returns options with "@NAME" replaced by what `stages` has for it.

    >>> put_in({"mirm": "@mirm", "runs": ["@mirm"]}, {"mirm": "runs/a"})
    {'mirm': 'runs/a', 'runs': ['runs/a']}
    """
    if isinstance(value, str):
        return stages[value[1:]] if value.startswith("@") else value
    if isinstance(value, Mapping):
        return {key: put_in(part, stages) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [put_in(part, stages) for part in cast("Iterable[Any]", value)]
    return value


def stage_order(
    stages: Mapping[str, Options], wanted: Iterable[str], by: str = "the recipe"
) -> list[str]:
    """Returns the wanted stages and all that they build on, those first.

    >>> stage_order({"a": {"runs": ["@b"]}, "b": {}, "c": {}}, ["a"])
    ['b', 'a']

    Args:
        stages: Options of all stages, by name.
        wanted: Names.
        by: Who wants them, for messages.

    Raises:
        ConfigError: A stage is unknown, or stages build on each other in a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...], by: str) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise ConfigError(
                f"Stages of the recipe build on each other in a circle: {circle}.",
                "Take one of the references out.",
            )
        if name not in stages:
            hint = nearest(name, stages) if stages else "The recipe has no stages."
            raise ConfigError(f"{by[:1].upper()}{by[1:]} names '@{name}': no such stage.", hint)
        if name not in order:
            for needed in references(stages[name]):
                visit(needed, (*path, name), f"stage '{name}'")
            order.append(name)

    for name in wanted:
        visit(name, (), by)
    return order


def write_out(stages: Mapping[str, Options], rows: Sequence[Options]) -> tuple[Options, list[Any]]:
    """Returns stages and rows with "like: NAME" replaced by what that stage says.

    What a part says itself is laid over it, so that an ablation is written as what differs.

    >>> write_out({"a": {"model": "sasrec", "set": {"dim": 8}}},
    ...           [{"label": "wide", "like": "a", "set": {"dim": 64}}])[1]
    [{'model': 'sasrec', 'set': {'dim': 64}, 'train': {}, 'label': 'wide'}]

    Args:
        stages: By name, as in the file.
        rows: As in the file.

    Raises:
        ConfigError: A stage is unknown, or stages are like each other in a circle.
    """
    likes = {name: _like(stage) for name, stage in stages.items()}
    done: dict[str, Options] = {}
    for name in stage_order(likes, likes):
        done[name] = _laid_over(done, stages[name])
    for row in rows:
        stage_order(likes, references(_like(row)), f"row '{row.get('label')}'")
    laid = [_laid_over(done, row) for row in rows]
    return {name: done[name] for name in stages}, [
        {key: value for key, value in row.items() if key != "seeds" or "like" not in given}
        for row, given in zip(laid, rows, strict=True)
    ]


def _like(part: Options) -> Options:
    return {"like": f"@{part['like']}"} if "like" in part else {}


def _laid_over(done: Mapping[str, Options], part: Options) -> Options:
    if "like" not in part:
        return part
    base = done[str(part["like"])]
    own = {key: value for key, value in part.items() if key != "like"}
    both = {key: merge(base.get(key) or {}, own.get(key) or {}) for key in ("set", "train")}
    return {**base, **both, **{key: own[key] for key in own if key not in both}}
