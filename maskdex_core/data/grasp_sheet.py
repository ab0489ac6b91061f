"""A contact sheet of a dataset: random grasps with their words and outcomes, to look at."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.grasp_picture import (
    HAND_COLORS,
    OBJECT_COLORS,
    TILE,
    Piece,
    contacts,
    draw_grasp,
    hand_pieces,
    object_pieces,
)
from maskdex_core.errors import DatasetError, unknown_choice
from maskdex_core.hands.model import HandModel
from maskdex_core.hands.spec import PART_NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = 6
EXAMPLES = 8  # of hundreds of objects, in an error
LETTERS, NAME = 44, 32  # a line of text, the object's name
TILE_WIDTH, TILE_HEIGHT, IMAGE, HEAD = 2.6, 3.6, 2.5, 0.6  # inches


def choose_rows(data: GraspDataset, count: int, seed: int, task: str | None, name: str | None) -> list[int]:
    """Return up to `count` random rows of a task and an object.

    Raises:
        DatasetError: when the dataset lacks the task or the object, or no grasp has both.
    """
    tasks = {item for row in data.table["tasks"] for item in row}
    if task is not None and task not in tasks:
        raise DatasetError(unknown_choice("task", task, tasks))
    if name is not None and name not in data.object_names:
        like = difflib.get_close_matches(name, data.object_names, EXAMPLES, 0.0)
        raise DatasetError(f"object {name!r} is unknown; nearest of {len(data.object_names)}: {', '.join(like)}")
    rows = [
        row
        for row in range(len(data))
        if (task is None or task in data.table["tasks"][row]) and name in (None, data.table["object"][row])
    ]
    if not len(data):
        raise DatasetError("the dataset has no grasps")
    if not rows:
        there = {item for row, owner in enumerate(data.table["object"]) if owner == name
                 for item in data.table["tasks"][row]}  # fmt: skip
        raise DatasetError(f"object {name!r} has no grasp of task {task!r}; its tasks: {', '.join(sorted(there))}")
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[index] for index in order[:count]]


def grasp_sheet(data: GraspDataset, rows: Sequence[int], path: Path, title: str) -> None:
    """Draw grasps into an image file.

    Args:
        data: the dataset. rows: which grasps, in this order. path: .png to write. title: one line on top.

    Raises:
        HandError, DatasetError: when the joints are not the hand's.
    """
    from tqdm import tqdm

    hand = HandModel.load(str(data.info.get("hand", "shadow")))
    joints = data.joints_as(hand.joint_names)[list(rows)]
    transforms = hand.link_transforms(joints).double().numpy()
    solids: dict[str, list[Piece]] = {}
    tiles = []
    for row, palm_from_link in zip(tqdm(rows, desc="grasps", disable=None), transforms, strict=True):
        name = data.table["object"][row]
        if name not in solids:
            solids[name] = object_pieces(name, data.objects[name])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = data.palm_rotation[row].numpy(), data.palm_translation[row].numpy()
        pieces = [*solids[name], *hand_pieces(hand, pose @ palm_from_link)]
        touching = contacts(pieces)
        parts = [str(part) for part in data.objects[name].facts.get("part_names", ())]
        tiles.append(Tile(draw_grasp(pieces, touching), list(touching), parts, caption(data, row)))
    _write_sheet(path, tiles, title)


@dataclass(frozen=True, eq=False)
class Tile:
    """One grasp on the sheet: image (H, W, 3) in 0..1, hand parts that touch, the object's parts, lines of text."""

    image: NDArray[np.floating]
    touching: list[int]
    object_parts: list[str]
    lines: list[str]


def caption(data: GraspDataset, row: int) -> list[str]:
    """Return the lines below a grasp: object, tasks, a text, outcomes in physics and penetration."""
    table = data.table
    outcomes = []
    for column, label in (("fc6", "FC6"), ("fc6_hard", "FC6-hard")):
        if column in table:
            value = float(table[column][row])
            outcomes.append(f"{label} {'untested' if np.isnan(value) else 'pass' if value == 1.0 else 'fail'}")
    pen = float(table["pen_mm"][row])
    outcomes.append("pen unknown" if np.isnan(pen) else f"pen {pen:.1f} mm")
    text = data.texts[row][0] if data.texts[row] else "no text"
    tasks = ", ".join(table["tasks"][row]) or "no task"
    return [str(table["object"][row]), tasks, f"“{text}”", "   ".join(outcomes)]


def _write_sheet(path: Path, tiles: Sequence[Tile], title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = TILE_WIDTH * max(columns, 3), TILE_HEIGHT * rows + HEAD  # three wide for the title
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)  # draws without a display
    legend = "name in colour: touches; full dot: that contact is in sight, ring: it is behind something"
    figure.text(0.1 / width, 1 - 0.2 / height, title, fontsize=11, weight="bold", va="center")
    figure.text(0.1 / width, 1 - 0.45 / height, legend, fontsize=8, va="center", color="#555555")
    for index, tile in enumerate(tiles):
        left = TILE_WIDTH * (index % columns) + 0.05
        bottom = height - HEAD - TILE_HEIGHT * (index // columns) - IMAGE
        axes = figure.add_axes((left / width, bottom / height, IMAGE / width, IMAGE / height))
        axes.imshow(tile.image)
        axes.set_axis_off()
        _write_caption(axes, tile)
    figure.savefig(str(path), dpi=TILE / IMAGE)


def _write_caption(axes: Any, tile: Tile) -> None:
    style: dict[str, Any] = {"fontsize": 7, "ha": "center", "va": "top", "transform": axes.transAxes}
    for part, name in enumerate(PART_NAMES):
        touches = part in tile.touching
        color, weight = (HAND_COLORS[name], "bold") if touches else ("#cccccc", "normal")
        axes.text((part + 0.5) / len(PART_NAMES), -0.03, name, color=color, weight=weight, **style)
    for part, words in enumerate(tile.object_parts):
        label = {"facecolor": OBJECT_COLORS[part % len(OBJECT_COLORS)], "edgecolor": "none", "pad": 1.0}
        axes.text(0.01, 0.985 - 0.06 * part, words, fontsize=6, va="top", bbox=label, transform=axes.transAxes)
    name = tile.lines[0]
    shown = name if len(name) <= NAME else f"{name[: NAME // 2]}…{name[-NAME // 2 :]}"
    lines = [short for line in tile.lines[1:] for short in textwrap.wrap(line, LETTERS, max_lines=2, placeholder=" …")]
    for index, line in enumerate([shown, *lines]):
        axes.text(0.5, -0.095 - 0.062 * index, line, weight="normal" if index else "bold", **style)
