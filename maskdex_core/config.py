"""Frozen dataclasses as configuration: YAML files override defaults, unknown keys are errors."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from maskdex_core.errors import ConfigError, unknown_choice

Config = TypeVar("Config")


def from_mapping(cls: type[Config], values: Mapping[str, Any], where: str = "configuration") -> Config:
    """Build a dataclass from a mapping; nested dataclasses take nested mappings.

    Args:
        cls: a dataclass type.
        values: field name → value.
        where: named in error messages (a file, usually).

    Raises:
        ConfigError: on an unknown key, a missing key, or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected keys and values, got {type(values).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{where}: {unknown_choice('key', key, fields)}")
    lacking = [name for name, field in fields.items() if _is_needed(field) and name not in values]
    if lacking:
        raise ConfigError(f"{where}: lacks {', '.join(lacking)}")
    converted = {key: _convert(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return cls(**converted)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def from_yaml(cls: type[Config], path: str | Path) -> Config:
    """Build a dataclass from a YAML file.

    Raises:
        ConfigError: when the file is missing, is not YAML, or does not fit the dataclass.
    """
    return from_mapping(cls, read_yaml(path), str(path))


def read_yaml(path: str | Path) -> Any:
    """Read one YAML file.

    Raises:
        ConfigError: when it is missing or is not YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_mapping(hint, value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        return tuple(value)
    if typing.get_origin(hint) is dict and not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected keys and values, got {value!r}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    for plain in (int, float, str, bool):
        # In Python True is an int; in a configuration it is a mistake.
        if hint is plain and (not isinstance(value, plain) or (plain is int and isinstance(value, bool))):
            raise ConfigError(f"{where}: expected {plain.__name__}, got {value!r}")
    if isinstance(value, float) and math.isnan(value):
        raise ConfigError(f"{where}: expected a number, got nan")
    return value
