"""A Shadow grasp on another hand: the contact optimiser on that hand's kinematics."""

from maskdex_core.retarget.retarget import Retargeted, retarget

__all__ = ["Retargeted", "retarget"]
