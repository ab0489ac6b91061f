"""Forward kinematics of a hand: pytorch-kinematics on a tree that has been looked over first.

Index legend: B batch, A movable joints, L links.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from maskdex_core.urdf import Urdf, UrdfJoint


class KinematicTree:
    """The links that hang on a root, and where they are for given joint angles.

    Attributes:
        link_names: the L links, in the file's order. joint_names: the A movable joints, from the root outward.
    """

    def __init__(self, urdf: Urdf, root: str) -> None:
        """Take a description and the link that everything hangs on.

        Raises:
            ValueError: when the root is no link, hangs on a joint itself, or does not carry every link.
        """
        _check_tree(urdf, root)
        import pytorch_kinematics  # heavy, and only needed once a hand is wanted

        try:
            self._chain: Any = pytorch_kinematics.build_chain_from_urdf(urdf.text.encode())
        except (RuntimeError, KeyError, RecursionError) as error:
            raise ValueError(f"the URDF cannot be made a kinematic tree ({error})") from error
        self.link_names = tuple(urdf.links)
        self._frames = self._chain.get_frame_indices(*self.link_names)
        self.joint_names: tuple[str, ...] = tuple(self._chain.get_joint_parameter_names())

    def link_transforms(self, angles: Tensor) -> Tensor:
        """Return root_from_link (B, L, 4, 4) in m for the angles (B, A) in rad of `joint_names`."""
        if self._chain.device != angles.device or self._chain.dtype != angles.dtype:
            self._chain = self._chain.to(dtype=angles.dtype, device=angles.device)
            self._frames = self._frames.to(angles.device)
        return self._chain.forward_kinematics_tensor(angles)[self._frames].transpose(0, 1).contiguous()


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
