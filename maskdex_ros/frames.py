"""A small transform buffer: who is whose parent, and where each frame was when.

Stands in where tf2_ros is missing. Between two samples positions are interpolated linearly and rotations on
the great arc, as tf2 does; outside the samples nothing is extrapolated, only a small gap is bridged.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_ros.conversions import transform_from_message

CACHE = 10 * 10**9  # [ns] of samples kept for a moving frame, as tf2 does
JUMP = 10**9  # [ns] that a frame's samples may come out of order; more means that time was set back
MOST_FRAMES = 2000  # more is an accident: frames named after a counter would fill the memory


class UnknownTransform(Exception):
    """The reason why two frames cannot be related at a time, as part of a sentence."""


@dataclass
class _Edge:
    """How a frame lies in its parent: one matrix for ever, or samples by time (ns, ascending)."""

    parent: str
    static: bool
    times: list[int] = field(default_factory=list)
    matrices: list[NDArray[np.float64]] = field(default_factory=list)


class FrameBuffer:
    """Fed with transforms, asked for matrices. Not for several threads."""

    def __init__(self, tolerance: float) -> None:
        """Start empty; `tolerance` (s) is how far beyond its samples a moving frame may be asked for."""
        self._tolerance = round(tolerance * 1e9)
        self._edges: dict[str, _Edge] = {}

    def take(self, transforms: list[Any], static: bool) -> None:
        """Take geometry_msgs/TransformStamped; one that is no rigid transform is left out."""
        for stamped in transforms:
            parent, child = stamped.header.frame_id.lstrip("/"), stamped.child_frame_id.lstrip("/")
            if not parent or not child or parent == child:
                continue
            try:
                matrix = transform_from_message(stamped.transform)
            except CloudError:
                continue
            stamp = stamped.header.stamp
            self._insert(parent, child, stamp.sec * 10**9 + stamp.nanosec, matrix, static)

    def lookup(self, target: str, source: str, time: int) -> NDArray[np.float64]:
        """Return `target_from_source` (4, 4) at a time (ns); 0 asks for the newest common one.

        Raises:
            UnknownTransform: when a frame was never heard of, the two are not connected, or the samples of a
                frame between them do not reach the time.
        """
        for frame in (target, source):
            if not self._known(frame):
                raise UnknownTransform(f"frame {frame!r} was never heard on tf; heard: {self._names()}")
        to_root, to_common = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in to_root if frame in to_common), None)
        if common is None:
            raise UnknownTransform(f"frames {target!r} and {source!r} are not connected on tf")
        up = to_root[: to_root.index(common)]
        down = to_common[: to_common.index(common)]
        at = time or self._newest([*up, *down])
        return np.linalg.inv(self._chain(down, at)) @ self._chain(up, at)

    def _known(self, frame: str) -> bool:
        return frame in self._edges or any(edge.parent == frame for edge in self._edges.values())

    def _names(self) -> str:
        names = sorted({*self._edges, *(edge.parent for edge in self._edges.values())})
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return (", ".join(names[:20]) + more) or "none"

    def _ancestors(self, frame: str) -> list[str]:
        """Return the frame, its parent, and so on to the root; a loop ends it."""
        way = [frame]
        while way[-1] in self._edges and self._edges[way[-1]].parent not in way:
            way.append(self._edges[way[-1]].parent)
        return way

    def _newest(self, frames: list[str]) -> int:
        """Return the newest time (ns) at which all moving frames of a way are known, or 0."""
        return min((edge.times[-1] for edge in map(self._edges.__getitem__, frames) if not edge.static), default=0)

    def _chain(self, frames: list[str], time: int) -> NDArray[np.float64]:
        """Return `end_from_start` (4, 4) of a way of frames, each in its parent."""
        matrix = np.eye(4)
        for frame in frames:
            matrix = self._at(frame, time) @ matrix
        return matrix

    def _at(self, frame: str, time: int) -> NDArray[np.float64]:
        edge = self._edges[frame]
        if edge.static:
            return edge.matrices[-1]
        beyond = max(time - edge.times[-1], edge.times[0] - time)
        if beyond > self._tolerance:
            relation, which = ("older", "newest") if time > edge.times[-1] else ("newer", "oldest")
            raise UnknownTransform(
                f"the {which} transform of {frame!r} in {edge.parent!r} is {1e-9 * beyond:.2f} s {relation} than the "
                f"cloud; at most {1e-9 * self._tolerance:g} s is valid"
            )
        return _between(edge, time)

    def _insert(self, parent: str, child: str, time: int, matrix: NDArray[np.float64], static: bool) -> None:
        edge = self._edges.get(child)
        if edge is None and len(self._edges) >= MOST_FRAMES:
            return
        # A frame that changes its parent, or time that was set back, begins anew.
        if static or edge is None or edge.static or edge.parent != parent or edge.times[-1] - time > JUMP:
            self._edges[child] = _Edge(parent, static, [time], [matrix])
            return
        index = bisect_left(edge.times, time)
        if index < len(edge.times) and edge.times[index] == time:
            edge.matrices[index] = matrix
            return
        edge.times.insert(index, time)
        edge.matrices.insert(index, matrix)
        old = bisect_left(edge.times, edge.times[-1] - CACHE)
        del edge.times[:old], edge.matrices[:old]


def _between(edge: _Edge, time: int) -> NDArray[np.float64]:
    index = bisect_left(edge.times, time)
    if index == len(edge.times):
        return edge.matrices[-1]
    if index == 0 or edge.times[index] == time:
        return edge.matrices[index]
    from scipy.spatial.transform import Rotation, Slerp

    before, after = edge.matrices[index - 1], edge.matrices[index]
    share = (time - edge.times[index - 1]) / (edge.times[index] - edge.times[index - 1])
    matrix = np.eye(4)
    turns = Rotation.from_matrix(np.stack([before[:3, :3], after[:3, :3]]))
    matrix[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    matrix[:3, 3] = (1.0 - share) * before[:3, 3] + share * after[:3, 3]
    return matrix
