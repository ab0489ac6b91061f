"""A Shadow grasp on another hand: the contact optimiser on that hand's kinematics."""

from maskdex_core.retarget.fingertips import Matched, match_fingertips
from maskdex_core.retarget.retarget import Retargeted, retarget

__all__ = ["Matched", "Retargeted", "match_fingertips", "retarget"]
