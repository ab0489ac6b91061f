"""The exception tree: every error a user can cause is one of these, with one clear sentence.

The sentence names the bad value and the valid choices. The CLI prints it and leaves with
`exit_code`; the ROS node logs and reports it and stays alive.
"""

from __future__ import annotations

from collections.abc import Iterable


class MaskdexError(Exception):
    """Base of all errors this package raises on purpose."""

    exit_code = 3


class UsageError(MaskdexError):
    """The command line or a call is wrong in itself, whatever the data."""

    exit_code = 2


class CloudError(MaskdexError):
    """A point cloud, depth image or scene that cannot be planned on."""


class TextError(MaskdexError):
    """A task text that cannot be used."""


class MeshError(MaskdexError):
    """An object mesh that cannot be grasped."""


class UrdfError(MaskdexError):
    """A URDF file that cannot be read or used; hands and arms turn it into their own error."""


class HandError(MaskdexError):
    """An unknown or inconsistent hand description."""


class RobotError(MaskdexError):
    """An unknown or inconsistent arm description, or a robot state that cannot be used."""


class CheckpointError(MaskdexError):
    """A checkpoint that is missing, corrupt or of another version."""


class ConfigError(MaskdexError):
    """A configuration file with an unknown key or a value out of range."""


class DatasetError(MaskdexError):
    """A dataset that is missing, corrupt or of another format."""


class PlanRejected(MaskdexError):
    """No candidate gave a trajectory that passes the safety verdict."""

    exit_code = 4

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons: tuple[str, ...] = tuple(reasons)
        super().__init__("no safe plan: " + "; ".join(self.reasons))


class PlanCancelled(MaskdexError):
    """The caller asked to stop while the plan was being made."""


def unknown_choice(kind: str, value: object, choices: Iterable[str]) -> str:
    """Return the sentence for a name that is not among the known ones."""
    known = ", ".join(sorted(choices)) or "none"
    return f"{kind} {value!r} is unknown; known: {known}"
