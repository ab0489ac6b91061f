"""`docs/parameters.md` and `config/grasp_node.yaml`, from the table in `maskdex_ros.parameters`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from maskdex_ros.parameters import Bounds, NodeParameters, ros_name

ROS_TYPES = {
    "bool": "bool",
    "int": "integer",
    "float": "double",
    "str": "string",
    "tuple[float, ...]": "double array",
    "tuple[str, ...]": "string array",
}
PAGE_HEAD = """\
# Parameters of the node `maskdex`

Written from `maskdex_ros/parameters.py` by `make reference`: the table below is the one that the node declares and
checks with. A value of another type or outside *valid* is refused, at start and at run time, with one sentence that
names it. *Taken* says when the node reads it; what is taken *at configure* keeps its value until the node is cleaned
up, and setting it before that is refused.

`config/grasp_node.yaml` holds every parameter with its default; `ros2 param describe /maskdex NAME` says the same as
this page. `use_sim_time` works as in every node.

| parameter | type | default | valid | taken | meaning |
|---|---|---|---|---|---|
"""
YAML_HEAD = """\
# Every parameter of the node `maskdex` with its default; delete what you do not change.
# Written by `make reference`; docs/parameters.md adds types and valid values.
/**/maskdex:  # in any namespace
  ros__parameters:
"""
# Shown where the default is "not set", so that people see the form.
EXAMPLES = {
    "object_near": [0.4, 0.0, 0.05],
    "base_from_camera.translation": [0.6, 0.0, 0.9],
    "base_from_camera.quaternion_xyzw": [1.0, 0.0, 0.0, 0.0],
}


def parameter_page() -> str:
    """Return docs/parameters.md."""
    return PAGE_HEAD + "".join(f"| {' | '.join(_cells(field, default))} |\n" for field, default in _fields())


def parameter_yaml() -> str:
    """Return config/grasp_node.yaml; nested names as nested mappings, unset values as commented examples."""
    lines: list[str] = []
    groups: dict[str, list[str]] = {}
    for field, default in _fields():
        group, _, leaf = ros_name(field).rpartition(".")
        target = groups.setdefault(group, []) if group else lines
        indent = "      " if group else "    "
        unset = default == ()
        value = EXAMPLES.get(ros_name(field), []) if unset else default
        entry = f"{'# ' if unset else ''}{leaf}: {json.dumps(value)}"
        target.append(f"{indent}# {field.metadata['doc']}\n{indent}{entry}\n")
    for group, entries in groups.items():
        empty = all(entry.splitlines()[-1].lstrip().startswith("#") for entry in entries)
        lines += [f"    {'# ' if empty else ''}{group}:\n", *entries]
    return YAML_HEAD + "".join(lines)


def _fields() -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    defaults = NodeParameters()
    for field in dataclasses.fields(NodeParameters):
        yield field, getattr(defaults, field.name)


def _cells(field: dataclasses.Field[Any], default: Any) -> list[str]:
    shown = "not set" if default == () else f"`{json.dumps(default)}`"
    valid, meaning = _valid(field.metadata["bounds"]), field.metadata["doc"].replace("|", "\\|")
    return [f"`{ros_name(field)}`", ROS_TYPES[str(field.type)], shown, valid, field.metadata["taken"], meaning]


def _valid(bounds: Bounds) -> str:
    if bounds.low is not None:
        return f"{bounds.low} to {bounds.high}"
    if bounds.choices:
        return ", ".join(f"`{choice}`" for choice in bounds.choices)
    if bounds.lengths:
        return " or ".join(map(str, bounds.lengths)) + " numbers"
    return ""
