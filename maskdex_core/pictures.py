"""The picture of a plan: scene, robot and hand in one view, hand on object in another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLE, SCENE, OBJECT, HAND, ARM, CANDIDATE = "#d9cbb8", "#a89f94", "#e07b1a", "#1f5fbf", "#3a3f47", "#2a9d4a"
TOUCH = ("#fbe3c8", OBJECT, "#7d1a05")  # object points, from where the text does not want the hand to where it does
LIGHT = np.array([-0.36, -0.48, 0.8])  # unit vector towards the light
OVERVIEW, CLOSE_UP = (24.0, -55.0), (18.0, -125.0)  # elevation, azimuth [deg]


@dataclass(frozen=True, eq=False)
class PlanView:
    """Plain arrays of what is drawn, all in base, metres.

    Attributes:
        scene_points: (S, 3). object_points: (M, 3). table_height: z of the table.
        hand_points: (P, 3) surface of the hand at the grasp, or None.
        hand_triangles: (F, 3, 3) the same as shapes, or None; drawn instead of the points.
        arm_points: (L, 3) joint positions from base to flange, or None.
        candidate_positions: (C, 3) palms of the other candidates, or None.
        palm_path: (T, 3) way of the palm, or None.
        object_touch: (M,) chance of each object point to lie where the text wants the hand, or None.
    """

    scene_points: NDArray[np.floating]
    object_points: NDArray[np.floating]
    table_height: float
    hand_points: NDArray[np.floating] | None = None
    hand_triangles: NDArray[np.floating] | None = None
    arm_points: NDArray[np.floating] | None = None
    candidate_positions: NDArray[np.floating] | None = None
    palm_path: NDArray[np.floating] | None = None
    object_touch: NDArray[np.floating] | None = None


def plan_picture(path: str | Path, view: PlanView, title: str = "", note: str = "") -> None:
    """Draw a plan into an image file.

    Args:
        path: .png, .svg or .pdf to write.
        view: what is drawn.
        title: one line above both panels. note: one line below them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 7.5), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display and without pyplot's global state
    whole = figure.add_subplot(1, 2, 1, projection="3d", computed_zorder=False)
    close = figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    _draw_overview(whole, view)
    _draw_close_up(close, view)
    if title:
        figure.suptitle(title, fontsize=15)
    if note:
        figure.supxlabel(note, fontsize=10)
    figure.savefig(str(path), dpi=110)


def _draw_overview(axes: Any, view: PlanView) -> None:
    parts = [view.object_points, np.zeros((1, 3))]
    parts += [points for points in (view.hand_points, view.arm_points) if points is not None and len(points)]
    corners = _bounds(np.concatenate([np.asarray(part)[:, :3] for part in parts]), margin=0.12)
    _draw_table(axes, view.table_height, corners)
    _draw_scene(axes, view, corners, 6000)
    _scatter(axes, view.object_points, OBJECT, 1.5, "object", 3000)
    _draw_hand(axes, view, 1.5, alpha=1.0)
    if view.arm_points is not None and len(view.arm_points):
        axes.plot(*np.asarray(view.arm_points).T, "-o", color=ARM, lw=5, ms=8, alpha=0.85, label="arm", zorder=6)
    if view.palm_path is not None and len(view.palm_path):
        axes.plot(*np.asarray(view.palm_path).T, "--", color=HAND, lw=1.5, label="palm path", zorder=8)
    _draw_base(axes, view.table_height)
    _frame(axes, corners, OVERVIEW, "robot and scene")


def _draw_close_up(axes: Any, view: PlanView) -> None:
    parts = [view.object_points] if view.hand_points is None else [view.object_points, view.hand_points]
    corners = _bounds(np.concatenate(parts), margin=0.02)
    _draw_table(axes, view.table_height, corners)
    _draw_scene(axes, view, corners, 4000)
    if view.object_touch is None:
        _scatter(axes, view.object_points, OBJECT, 5, "object", 4000)
    else:
        _draw_touch(axes, view.object_points, view.object_touch)
    _draw_hand(axes, view, 5, alpha=0.6)
    if view.candidate_positions is not None:
        inside = _inside(np.asarray(view.candidate_positions, dtype=np.float64).reshape(-1, 3), corners)
        if len(inside):
            label = f"other palms ({len(inside)})"
            axes.scatter(*inside.T, s=45, marker="x", color=CANDIDATE, label=label, depthshade=False, zorder=9)
    _frame(axes, corners, _from_free_side(view), "hand on object")


def _draw_touch(axes: Any, points: NDArray[np.floating], chance: NDArray[np.floating]) -> None:
    """Draw the object darker where the text wants the hand; what is wanted most lies in front."""
    from matplotlib.colors import LinearSegmentedColormap

    rows = np.argsort(chance)
    style: dict[str, Any] = {"s": 5, "depthshade": False, "linewidths": 0, "vmin": 0.0, "vmax": float(chance.max())}
    colors = LinearSegmentedColormap.from_list("touch", TOUCH)
    drawn = axes.scatter(*np.asarray(points)[rows].T, c=np.asarray(chance)[rows], cmap=colors, zorder=4, **style)
    label = "object: chance that the text wants the hand here"
    axes.figure.colorbar(drawn, ax=axes, shrink=0.5, pad=0.1, label=label)


def _draw_hand(axes: Any, view: PlanView, size: float, alpha: float) -> None:
    if view.hand_triangles is None:
        _scatter(axes, view.hand_points, HAND, size, "hand", 4000, zorder=5)
        return
    from matplotlib.colors import to_rgb
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    triangles = np.asarray(view.hand_triangles)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    shade = 0.55 + 0.45 * np.clip(normals @ LIGHT, 0, 1)
    colors = np.column_stack((shade[:, None] * (0.25 + 0.75 * np.array(to_rgb(HAND))), np.full(len(shade), alpha)))
    axes.add_collection3d(Poly3DCollection(triangles, facecolors=colors, edgecolors="none", zorder=5))
    axes.scatter([], [], [], s=size, color=HAND, label="hand")


def _from_free_side(view: PlanView) -> tuple[float, float]:
    """Look across the line from object to hand, so that neither covers the other."""
    if view.hand_points is None or not len(view.hand_points):
        return CLOSE_UP
    towards_hand = np.mean(view.hand_points, axis=0) - np.mean(view.object_points, axis=0)
    if np.linalg.norm(towards_hand[:2]) < 0.02:
        return CLOSE_UP
    azimuth = float(np.rad2deg(np.arctan2(towards_hand[1], towards_hand[0])))
    sides = ((azimuth + 90) % 360 - 180, (azimuth - 90) % 360 - 180)
    return CLOSE_UP[0], min(sides, key=lambda side: abs(side - OVERVIEW[1]))


def _draw_scene(axes: Any, view: PlanView, corners: NDArray[np.float64], limit: int) -> None:
    inside = _inside(np.asarray(view.scene_points, dtype=np.float64), corners)
    above = inside[inside[:, 2] > view.table_height + 0.01]
    _scatter(axes, inside, SCENE, 1.0, "table (seen)", limit, alpha=0.35, zorder=1)
    _scatter(axes, above, ARM, 2.0, "obstacles", limit, alpha=0.6, zorder=2)


def _draw_table(axes: Any, height: float, corners: NDArray[np.float64]) -> None:
    x, y = np.meshgrid(corners[:, 0], corners[:, 1])
    axes.plot_surface(x, y, np.full_like(x, height), color=TABLE, alpha=0.25, shade=False, zorder=0)


def _draw_base(axes: Any, table_height: float, length: float = 0.1) -> None:
    """Draw the base frame's axes, x red, y green, z blue."""
    for axis, color in enumerate(("#c0392b", "#27ae60", "#2980b9")):
        tip = np.zeros((2, 3))
        tip[1, axis] = length
        axes.plot(*tip.T, color=color, lw=2.5, zorder=7)
    axes.text(0.0, 0.0, min(0.0, table_height) - 0.06, "base", ha="center", fontsize=9)


def _scatter(
    axes: Any,
    points: NDArray[np.floating] | None,
    color: str,
    size: float,
    label: str,
    limit: int,
    alpha: float = 0.9,
    zorder: int = 4,
) -> None:
    if points is None or not len(points):
        return
    shown = np.asarray(points)
    if len(shown) > limit:  # evenly over the rows, the same each time
        shown = shown[np.linspace(0, len(shown) - 1, limit).astype(int)]
    style: dict[str, Any] = {"s": size, "color": color, "alpha": alpha, "depthshade": False, "linewidths": 0}
    axes.scatter(*shown.T, label=label, zorder=zorder, **style)


def _bounds(points: NDArray[np.floating], margin: float) -> NDArray[np.float64]:
    return np.stack((points.min(axis=0) - margin, points.max(axis=0) + margin)).astype(np.float64)


def _inside(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return points[((points >= corners[0]) & (points <= corners[1])).all(axis=1)]


def _frame(axes: Any, corners: NDArray[np.float64], direction: tuple[float, float], title: str) -> None:
    """Set equal axes, direction of view, labels and legend."""
    axes.set_xlim(*corners[:, 0])
    axes.set_ylim(*corners[:, 1])
    axes.set_zlim(*corners[:, 2])
    axes.set_box_aspect(corners[1] - corners[0], zoom=1.1)
    axes.set_proj_type("ortho")
    axes.view_init(elev=direction[0], azim=direction[1])
    axes.set_xlabel("x [m]")
    axes.set_ylabel("y [m]")
    axes.set_zlabel("z [m]")
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)
    axes.set_title(title)
    axes.legend(*_legend_entries(axes), loc="upper left", fontsize=9)


def _legend_entries(axes: Any) -> tuple[list[Any], list[str]]:
    """Return entries of one readable size, whatever the size of the points drawn."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    entries = []
    for handle, label in zip(handles, labels, strict=True):
        if isinstance(handle, Line2D):
            entries.append(Line2D([], [], color=handle.get_color(), ls=handle.get_linestyle(), lw=2.5))
        else:
            marker = "x" if label.startswith("other palms") else "o"
            color = handle.get_facecolor()[0][:3]
            entries.append(Line2D([], [], color=color, ls="", marker=marker, ms=7))
    return entries, labels
