"""Typed, frozen, closed configurations: an unknown key is an error, never ignored."""

import json
from pathlib import Path
from typing import Any, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from vlmrec.core.errors import ConfigError, nearest


class StrictConfig(BaseModel):
    """Base of every configuration: immutable, closed, round-trips through JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Returns the configuration that `values` describe.

        Nested options are laid over the default of the option they are in, so that
        ``scoring: {temperature: 0.05}`` changes the temperature alone. Another ``kind`` than the
        default's starts from its own defaults.

        Args:
            values: Option names and values, as read from a file or the command line.
            where: What is being configured, for the error message ("model 'sasrec'").

        Raises:
            ConfigError: An option is unknown (the nearest right name is given) or its value
                is of the wrong kind or out of range.
        """
        try:
            return cls.model_validate(_over_defaults(cls, values))
        except ValidationError as error:
            raise ConfigError(*_explain(error, cls, where)) from None


def _over_defaults(config: type[StrictConfig], values: dict[str, Any]) -> dict[str, Any]:
    defaults = {name: field.get_default() for name, field in config.model_fields.items()}
    return {key: _laid_over(defaults.get(key), value) for key, value in values.items()}


def _laid_over(default: object, value: object) -> object:
    """Returns a value in which options that it leaves out are those of the default."""
    if not isinstance(default, StrictConfig) or not isinstance(value, dict):
        return value
    given = cast("dict[str, Any]", value)
    kind = getattr(default, "kind", None)
    if given.get("kind", kind) != kind:
        return given
    over = {key: _laid_over(getattr(default, key, None), one) for key, one in given.items()}
    # Only what the default itself was given: the rest is its class's anyway, and some options
    # ask which were named.
    return {**_class_tag(default), **default.model_dump(exclude_unset=True), **over}


def _class_tag(options: StrictConfig) -> dict[str, str]:
    """Returns the `kind` that tells the class apart in a union, where it has no other."""
    field = type(options).model_fields.get("kind")
    kinds: tuple[str, ...] = () if field is None else get_args(field.annotation)
    return {"kind": kinds[0]} if len(kinds) == 1 else {}


def _explain(error: ValidationError, config: type[BaseModel], where: str) -> tuple[str, str]:
    first = error.errors()[0]
    location, known = _locate(config, [str(part) for part in first["loc"]])
    name = ".".join(location) or "the configuration"
    if first["type"] == "extra_forbidden":
        return f"Unknown option '{name}' for {where}.", nearest(location[-1], known)
    if first["type"] == "missing":
        return f"Option '{name}' for {where} is missing.", f"Give it with --set {name}=VALUE."
    message = first["msg"].removeprefix("Value error, ")
    return (
        f"Option '{name}' for {where} was given {first['input']!r}: {message}.",
        "Correct the value.",
    )


def _locate(config: type[BaseModel], parts: list[str]) -> tuple[list[str], list[str]]:
    """Returns the option's name as users write it, and the options known where it stands.

    pydantic puts the tag of a union ("bce") between the names; users do not write it.
    """
    kinds: list[type[BaseModel]] = [config]
    names: list[str] = []
    for part in parts[:-1]:
        fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
        if fields:
            names.append(part)
            kinds = [kind for one in fields for kind in _models_in(one.annotation)]
        else:
            kinds = [kind for kind in kinds if _tag_of(kind) == part] or kinds
    return [*names, *parts[-1:]], [name for kind in kinds for name in kind.model_fields]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _models_in(part)]


def _tag_of(kind: type[BaseModel]) -> object:
    tag = kind.model_fields.get("kind")
    return None if tag is None else tag.default


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Returns nested options from command-line assignments `key=value`.

    Dots nest (`objective.n_negatives=100`); values are read as YAML scalars or lists, so
    numbers, booleans and null mean what they look like.

    >>> parse_assignments(["dim=32", "objective.kind=bce"])
    {'dim': 32, 'objective': {'kind': 'bce'}}

    Raises:
        ConfigError: An assignment has no `=`, or nests below a plain value.
    """
    import yaml

    options: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"'--set {assignment}' is not of the form key=value.",
                "Write for example --set dim=64.",
            )
        *parents, leaf = key.strip().split(".")
        level = options
        for parent in parents:
            nested = level.setdefault(parent, {})
            if not isinstance(nested, dict):
                raise ConfigError(f"'--set {assignment}' nests below the plain value '{parent}'.")
            level = cast("dict[str, Any]", nested)
        try:
            level[leaf] = yaml.safe_load(text)
        except yaml.YAMLError:
            level[leaf] = text
    return options


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Returns `base` with the options of `over` laid on top, nested ones merged.

    >>> merge({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}})
    {'a': 1, 'b': {'c': 2, 'd': 3}}
    """
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merge(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        result[key] = value
    return result


def read_config_file(path: Path) -> dict[str, Any]:
    """Returns the options in a YAML or JSON file.

    Raises:
        ConfigError: The file is missing, cannot be parsed, or holds no mapping.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"The configuration file '{path}' cannot be read: {reason}.") from None
    try:
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration file '{path}' cannot be parsed: {error}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"The configuration file '{path}' holds a {type(values).__name__}.",
            "It must be a mapping of option names to values.",
        )
    return cast("dict[str, Any]", values)
