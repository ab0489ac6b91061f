"""A hand is data: a URDF of primitives and one YAML make a `HandModel`."""

from maskdex_core.hands.model import HandModel
from maskdex_core.hands.spec import HandSpec, known_hands

__all__ = ["HandModel", "HandSpec", "known_hands"]
