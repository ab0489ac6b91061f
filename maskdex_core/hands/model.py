"""`HandModel`: forward kinematics, surface points by part, spheres and limits of one hand.

Index legend: B batch, J driven joints, A all movable joints (driven and mimic), L links,
S spheres, N surface points.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskdex_core.errors import HandError, UrdfError, unknown_choice
from maskdex_core.hands.kinematics import KinematicTree
from maskdex_core.hands.mount import check_mount
from maskdex_core.hands.spec import PART_NAMES, HandSpec, load_spec
from maskdex_core.hands.surface import sample_hand_surface
from maskdex_core.primitives import Primitive
from maskdex_core.urdf import Urdf, pose_matrix, read_urdf

BOX_EDGE = 0.3  # of a sphere's radius; an edge sticks out by 0.41, a corner by 0.73, a face not at all


class HandModel:
    """A hand in its palm frame (the root link's). Joint values travel in `joint_names` order.

    Attributes:
        joint_names: the J driven joints.
        lower, upper: (J,) position limits in rad, narrowed to what the mimic joints allow.
        link_names: the L links.
        part_names: palm and the fingers this hand has, in the canonical order.
        joint_part: (J,) part index of each driven joint.
        sphere_*: inner spheres of the collision shapes: link (S,), center (S, 3) m in the link's
            frame, radius (S,) m, part (S,), palmar (S, 3) unit vector in the link's frame; edge (S,) m that a
            box's edges stick out of its spheres, on the whole.
        surface_*: N points on the skin: link (N,), point (N, 3), normal (N, 3), part (N,),
            palmar (N,) bool.
    """

    part_names = PART_NAMES

    def __init__(self, spec: HandSpec, urdf: Urdf) -> None:
        self.spec, self.urdf, self.name = spec, urdf, spec.name
        self._tree = _build_tree(urdf, spec)
        self.all_joint_names = self._tree.joint_names
        self.link_names = self._tree.link_names
        self._follows = _followers(spec, urdf, self.all_joint_names)
        self.joint_names = tuple(n for n in self.all_joint_names if n not in self._follows)
        self._link_index = {name: index for index, name in enumerate(self.link_names)}
        self._check_names()
        self._mimic, self._offset = self._mimic_layer()
        self.lower, self.upper = self._limits()
        self.link_part = torch.tensor([self._part_of(name) for name in self.link_names])
        self.joint_part = torch.tensor([self._part_of(urdf.joints[n].child) for n in self.joint_names])
        self.link_palmar = torch.tensor(np.array([self._palmar(n) for n in self.link_names]), dtype=torch.float32)
        self._descendants = self._ancestry()
        check_mount(self)
        self._build_spheres()
        self._build_surface()

    @staticmethod
    def load(hand: str | Path) -> HandModel:
        """Load a shipped hand by name or any hand by the path of its YAML; cached by name.

        Raises:
            HandError: when it is unknown or inconsistent.
        """
        return _load(str(hand))

    # ------------------------------------------------------------------ kinematics
    def expand_mimic(self, joints: Tensor) -> Tensor:
        """Return all movable joints (B, A) rad, in `all_joint_names` order, from the driven (B, J)."""
        return joints @ self._mimic.to(joints).T + self._offset.to(joints)

    def link_transforms(self, joints: Tensor, base: Tensor | None = None) -> Tensor:
        """Return base_from_link (B, L, 4, 4) for driven joint angles (B, J) in rad and base_from_palm (B, 4, 4).

        Without a base the links are where they are in the palm frame.
        """
        links = self._tree.link_transforms(self.expand_mimic(joints))
        return links if base is None else base[:, None] @ links

    def surface_points(self, joints: Tensor, select: Tensor | None = None) -> Tensor:
        """Return skin points (B, N, 3) in m, palm frame, for driven joints (B, J); `select` picks points."""
        link, point = self.surface_link, self.surface_point
        if select is not None:
            link, point = link[select], point[select]
        return self.place(self.link_transforms(joints), link, point)

    def surface_points_and_normals(self, joints: Tensor, select: Tensor) -> tuple[Tensor, Tensor]:
        """Return selected skin points (B, N, 3) in m and their outward unit normals (B, N, 3), palm frame."""
        transforms, link = self.link_transforms(joints), self.surface_link[select]
        turned = transforms[:, link, :3, :3] @ self.surface_normal[select].to(transforms)[None, :, :, None]
        return self.place(transforms, link, self.surface_point[select]), turned.squeeze(-1)

    def place(self, transforms: Tensor, link: Tensor, point: Tensor) -> Tensor:
        """Move link-frame points (P, 3) on links (P,) by palm_from_link (B, L, 4, 4): (B, P, 3)."""
        chosen = transforms[:, link]
        return (chosen[..., :3, :3] @ point.to(chosen)[None, :, :, None]).squeeze(-1) + chosen[..., :3, 3]

    def tip_points(self, joints: Tensor) -> Tensor:
        """Return the fingertips (B, F, 3) in m, palm frame, in the order of `finger_names`."""
        return self.place(self.link_transforms(joints), *self.tips)

    @property
    def finger_names(self) -> tuple[str, ...]:
        """The fingers this hand has, in canonical order."""
        return tuple(part for part in PART_NAMES[1:] if part in self.spec.tips)

    @property
    def contact_link_index(self) -> Tensor:
        """Indices into `link_names` of the links that may hold an object."""
        return torch.tensor([self._link_index[name] for name in self.spec.contact_links])

    def link_index(self, name: str) -> int:
        """Return the index of a link in `link_names`."""
        return self._link_index[name]

    def link_descends_from(self, link: str) -> Tensor:
        """Return (L,) bool: which links move with `link`."""
        return self._descendants[self._link_index[link]]

    @cached_property
    def tips(self) -> tuple[Tensor, Tensor]:
        """Link (F,) and point (F, 3) m in its frame of each fingertip, in the order of `finger_names`."""
        tips = [self.spec.tips[finger] for finger in self.finger_names]
        link = torch.tensor([self._link_index[tip["link"]] for tip in tips])
        return link, torch.tensor([tip["xyz"] for tip in tips], dtype=torch.float32)

    @cached_property
    def joint_axes(self) -> tuple[Tensor, Tensor]:
        """Child link (A,) of each movable joint and its axis (A, 3) in that link's frame."""
        joints = [self.urdf.joints[name] for name in self.all_joint_names]
        links = torch.tensor([self._link_index[joint.child] for joint in joints])
        return links, torch.tensor(np.array([joint.axis for joint in joints]), dtype=torch.float32)

    @cached_property
    def link_moved_by(self) -> Tensor:
        """(L, A) bool: which movable joints move a link."""
        return self._descendants[self.joint_axes[0]].T

    @cached_property
    def mimic_matrix(self) -> Tensor:
        """(A, J) float32: how all movable joints follow the driven ones."""
        return self._mimic.float()

    def follower(self, joint: str) -> tuple[str, float, float] | None:
        """Return (source, multiplier, offset rad) of a joint that follows another, by mimic or tendon; else None."""
        return self._follows.get(joint)

    def flange_from_palm(self) -> np.ndarray:
        """Return the (4, 4) pose of the palm frame on the arm's flange."""
        return pose_matrix(np.array(self.spec.mount["xyz"], float), np.array(self.spec.mount["rpy"], float))

    def clamp(self, joints: Tensor) -> Tensor:
        """Return joints clipped to the limits."""
        return torch.minimum(torch.maximum(joints, self.lower.to(joints)), self.upper.to(joints))

    # ------------------------------------------------------------------ construction
    def _check_names(self) -> None:
        links = [link for part in self.spec.parts.values() for link in part]
        links += [tip["link"] for tip in self.spec.tips.values()]
        links += [*self.spec.contact_links, *self.spec.palmar_of, self.spec.root]
        for link in links:
            if link not in self._link_index:
                raise HandError(f"hand {self.name!r}: link {link!r} is not in {self.spec.urdf}")
        for link in self.spec.contact_links:
            if not self.urdf.links[link].shapes:
                raise HandError(f"hand {self.name!r}: contact link {link!r} has no collision shape")

    def _mimic_layer(self) -> tuple[Tensor, Tensor]:
        matrix = torch.zeros(len(self.all_joint_names), len(self.joint_names), dtype=torch.float64)
        offset = torch.zeros(len(self.all_joint_names), dtype=torch.float64)
        for row, name in enumerate(self.all_joint_names):
            source, multiplier, shift = self._follows.get(name, (name, 1.0, 0.0))
            if source not in self.joint_names:
                raise HandError(f"hand {self.name!r}: joint {name!r} mimics {source!r}, which is not driven")
            matrix[row, self.joint_names.index(source)] = multiplier
            offset[row] = shift
        return matrix, offset

    def _ancestry(self) -> Tensor:
        descends = torch.eye(len(self.link_names), dtype=torch.bool)
        parent = {joint.child: joint.parent for joint in self.urdf.joints.values()}
        for name, column in self._link_index.items():
            above = parent.get(name)
            while above is not None:
                descends[self._link_index[above], column] = True
                above = parent.get(above)
        return descends

    def _limits(self) -> tuple[Tensor, Tensor]:
        lower = torch.full((len(self.joint_names),), -torch.inf)
        upper = torch.full((len(self.joint_names),), torch.inf)
        for row, name in enumerate(self.all_joint_names):
            joint, column = self.urdf.joints[name], int(self._mimic[row].abs().argmax())
            gain, shift = float(self._mimic[row, column]), float(self._offset[row])
            low, high = sorted(((joint.lower - shift) / gain, (joint.upper - shift) / gain))
            lower[column], upper[column] = max(float(lower[column]), low), min(float(upper[column]), high)
        for column, name in enumerate(self.joint_names):
            if self.urdf.joints[name].velocity == 0:
                raise HandError(f"hand {self.name!r}: joint {name!r} has velocity limit 0; expected above 0 rad/s")
            if lower[column] > upper[column]:
                raise HandError(
                    f"hand {self.name!r}: joint {name!r} and those that follow it share no angle: their limits leave "
                    f"[{lower[column]:.4f}, {upper[column]:.4f}] rad"
                )
        return lower, upper

    def _part_of(self, link: str) -> int:
        for index, part in enumerate(PART_NAMES):
            if link in self.spec.parts.get(part, ()):
                return index
        return 0  # frames without a shape ride on the palm

    def _palmar(self, link: str) -> np.ndarray:
        vector = np.array(self.spec.palmar_of.get(link, self.spec.palmar), float)
        return vector / np.linalg.norm(vector)

    def shapes(self) -> list[tuple[int, Primitive]]:
        """Return every collision shape with the index of its link."""
        return [(i, shape) for i, name in enumerate(self.link_names) for shape in self.urdf.links[name].shapes]

    def _build_spheres(self) -> None:
        links, centers, radii, edges = [], [], [], []
        for link, shape in self.shapes():
            center, radius = shape.inner_spheres()
            links += [link] * len(center)
            centers.append(center)
            radii.append(radius)
            edges.append(radius * (BOX_EDGE if shape.kind == "box" else 0.0))
        self.sphere_link = torch.tensor(links)
        self.sphere_center = torch.tensor(np.concatenate(centers), dtype=torch.float32)
        self.sphere_radius = torch.tensor(np.concatenate(radii), dtype=torch.float32)
        self.sphere_edge = torch.tensor(np.concatenate(edges), dtype=torch.float32)
        self.sphere_part = self.link_part[self.sphere_link]
        self.sphere_palmar = self.link_palmar[self.sphere_link]

    def _build_surface(self) -> None:
        surface = sample_hand_surface(self.shapes(), self.link_part.numpy(), self.link_palmar.numpy())
        self.surface_link = torch.tensor(surface.link)
        self.surface_point = torch.tensor(surface.point, dtype=torch.float32)
        self.surface_normal = torch.tensor(surface.normal, dtype=torch.float32)
        self.surface_part = self.link_part[self.surface_link]
        self.surface_palmar = torch.tensor(surface.palmar)


@lru_cache(maxsize=16)
def _load(hand: str) -> HandModel:
    spec = load_spec(hand)
    try:
        urdf = read_urdf(spec.urdf_path())
    except UrdfError as error:
        raise HandError(str(error)) from error
    return HandModel(spec, urdf)


def _build_tree(urdf: Urdf, spec: HandSpec) -> KinematicTree:
    try:
        return KinematicTree(urdf, spec.root)
    except ValueError as error:
        raise HandError(f"hand {spec.name!r}: {error}") from error


def _followers(spec: HandSpec, urdf: Urdf, joints: tuple[str, ...]) -> dict[str, tuple[str, float, float]]:
    """Return joint → (source, multiplier, offset rad): the URDF's mimics and the couplings of the YAML."""
    found = {name: mimic for name in joints if (mimic := urdf.joints[name].mimic) is not None}
    for name, coupling in spec.couplings.items():
        for joint in (name, coupling["joint"]):
            if joint not in joints:
                raise HandError(f"hand {spec.name!r}: couplings: {unknown_choice('joint', joint, joints)}")
        if name in found:
            raise HandError(f"hand {spec.name!r}: joint {name!r} is coupled, and mimics {found[name][0]!r} already")
        found[name] = (coupling["joint"], float(coupling["multiplier"]), 0.0)
    return found
