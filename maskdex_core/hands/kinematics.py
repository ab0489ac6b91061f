"""Forward kinematics of a hand: all joints' turns at once, then one product for each level of the tree.

Index legend: B batch, A movable joints, L links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskdex_core.urdf import Urdf, UrdfJoint


@dataclass(frozen=True)
class _Mobile:
    """A movable joint: what moves it, the index of that joint or -1 for the root, and that one's frame to its own."""

    joint: UrdfJoint
    carrier: int
    origin: np.ndarray
    level: int


class KinematicTree:
    """The links that hang on a root, and where they are for given joint angles.

    Fixed joints are folded into the frames of the movable ones, and all joints of a level are multiplied together:
    a tree of four levels costs four products, however many fingers it has.

    Attributes:
        link_names: the L links, in the file's order. joint_names: the A movable joints, from the root outward.
    """

    def __init__(self, urdf: Urdf, root: str) -> None:
        """Take a description and the link that everything hangs on.

        Raises:
            ValueError: when the root is no link, hangs on a joint itself, does not carry every link, or nothing moves.
        """
        _check_tree(urdf, root)
        mobiles, riding = _mobiles(urdf, root)
        if not mobiles:
            raise ValueError("no joint of the hand moves")
        self.link_names = tuple(urdf.links)
        self.joint_names: tuple[str, ...] = tuple(mobile.joint.name for mobile in mobiles)
        order = sorted(range(len(mobiles)), key=lambda index: mobiles[index].level)
        place = {index: row for row, index in enumerate(order)} | {-1: len(order)}
        self._order = torch.tensor(order, dtype=torch.long)
        self._levels = _levels([mobiles[index] for index in order], place)
        self._carrier = torch.tensor([place[riding[name][0]] for name in self.link_names])
        # A turn by q about the joint's axis is rest + sin(q) · sine + cos(q) · cosine (Rodrigues).
        turns = [_turn(mobiles[index]) for index in order]
        rest, sine, cosine = (np.array(part).reshape(-1, 4, 4) for part in zip(*turns, strict=True))
        riders = np.array([riding[name][1] for name in self.link_names])
        self._constants = tuple(torch.tensor(part) for part in (rest, sine, cosine, riders, np.eye(4)[None, None]))
        self._same = bool((riders == np.eye(4)).all())
        self._cast: tuple[object, tuple[Tensor, ...]] = (None, ())

    def link_transforms(self, angles: Tensor, base: Tensor | None = None) -> Tensor:
        """Return base_from_link (B, L, 4, 4) in m for the angles (B, A) in rad of `joint_names`.

        Args:
            base: (B, 4, 4) base_from_root; None where the base is the root.
        """
        rest, sine, cosine, riders, root = self._on(angles)
        turned = angles.index_select(1, self._order)[..., None, None]
        local = torch.addcmul(torch.addcmul(rest, turned.sin(), sine), turned.cos(), cosine)  # (B, A, 4, 4)
        root = root.expand(len(angles), -1, -1, -1) if base is None else base[:, None]
        frames = [local[:, : self._levels[0][1]] if base is None else root @ local[:, : self._levels[0][1]]]
        for first, last, carriers in self._levels[1:]:
            frames.append(frames[-1].index_select(1, carriers) @ local[:, first:last])
        frames.append(root)
        carried = torch.cat(frames, 1).index_select(1, self._carrier)
        return carried if self._same else carried @ riders

    def _on(self, angles: Tensor) -> tuple[Tensor, ...]:
        """Return the constants in the angles' type, on their device; both are kept until others are asked for."""
        if self._order.device != angles.device:
            self._order, self._carrier = self._order.to(angles.device), self._carrier.to(angles.device)
            self._levels = [(first, last, carriers.to(angles.device)) for first, last, carriers in self._levels]
        key = (angles.dtype, angles.device)
        kept, constants = self._cast
        if kept != key:
            constants = tuple(constant.to(angles) for constant in self._constants)
            self._cast = (key, constants)
        return constants


def _mobiles(urdf: Urdf, root: str) -> tuple[list[_Mobile], dict[str, tuple[int, np.ndarray]]]:
    """Return the movable joints, branch by branch, and for each link which of them carries it, and its pose there."""
    hanging: dict[str, list[UrdfJoint]] = {name: [] for name in urdf.links}
    for joint in urdf.joints.values():
        hanging[joint.parent].append(joint)
    mobiles: list[_Mobile] = []
    riding = {root: (-1, np.eye(4))}
    waiting = hanging[root][::-1]
    while waiting:
        joint = waiting.pop()
        carrier, pose = riding[joint.parent]
        origin = pose @ joint.parent_from_joint
        if joint.kind == "fixed":
            riding[joint.child] = (carrier, origin)
        else:
            riding[joint.child] = (len(mobiles), np.eye(4))
            level = 0 if carrier < 0 else mobiles[carrier].level + 1
            mobiles.append(_Mobile(joint, carrier, origin, level))
        waiting += hanging[joint.child][::-1]
    return mobiles, riding


def _levels(mobiles: list[_Mobile], place: dict[int, int]) -> list[tuple[int, int, Tensor]]:
    """Return for each level its first row, the one after its last, and the rows of its carriers in the level before."""
    rows = [mobile.level for mobile in mobiles]
    levels, before = [], 0
    for level in range(rows[-1] + 1):
        first, last = rows.index(level), len(rows) - rows[::-1].index(level)
        carriers = [place[mobile.carrier] - before for mobile in mobiles[first:last]]
        levels.append((first, last, torch.tensor(carriers, dtype=torch.long)))
        before = first
    return levels


def _turn(mobile: _Mobile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = mobile.joint.axis
    cross = np.zeros((4, 4))
    cross[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    once, twice = mobile.origin @ cross, mobile.origin @ cross @ cross
    return mobile.origin + twice, once, -twice


def _check_tree(urdf: Urdf, root: str) -> None:
    children: dict[str, list[UrdfJoint]] = {name: [] for name in urdf.links}
    for joint in urdf.joints.values():
        children[joint.parent].append(joint)
    hanging = {joint.child for joint in urdf.joints.values()}
    free = [name for name in urdf.links if name not in hanging]
    if root not in free:
        raise ValueError(f"root link is {', '.join(map(repr, free))}, the hand's YAML says {root!r}")
    reached, waiting = {root}, [root]
    while waiting:
        below = [joint.child for joint in children[waiting.pop()]]
        reached.update(below)
        waiting += below
    for name in urdf.links:
        if name not in reached:
            raise ValueError(f"link {name!r} does not hang on {root!r}; its joints run in a cycle")
