"""How a hand sits on the arm: nothing that is rigid with its palm may stand behind the flange's face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskdex_core.errors import HandError

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel

SUNK = 0.002
"""m that a hand may reach behind the flange's face, for centring rims"""


def check_mount(hand: HandModel) -> None:
    """Refuse a mount that puts the palm into the arm.

    The flange's frame has its origin on the face that the hand is screwed to and +z out of the arm, as every
    tool flange after ISO 9787, so that this needs no arm.

    Raises:
        HandError: when a link that does not move against the palm reaches behind the face.
    """
    depth, link = palm_depth(hand)
    if depth > SUNK:
        raise HandError(
            f"hand {hand.name!r}: mount xyz {hand.spec.mount['xyz']}, rpy {hand.spec.mount['rpy']} collides: "
            f"link {link!r} stands {1e3 * depth:.0f} mm inside the arm's flange; at most {1e3 * SUNK:g} mm"
        )


def palm_depth(hand: HandModel) -> tuple[float, str]:
    """Return how deep in m the palm's rigid links reach behind the flange's face (negative: clear), and which does."""
    flange_from_palm = hand.flange_from_palm()
    rigid = ~hand.link_moved_by.any(1).numpy()
    neutral = hand.clamp(hand.lower.new_zeros(1, len(hand.joint_names)))
    palm_from_link = hand.link_transforms(neutral)[0].double().numpy()
    lowest, name = np.inf, hand.spec.root
    for link, shape in hand.shapes():
        if rigid[link]:
            pose = flange_from_palm @ palm_from_link[link]
            height = pose[2, 3] - shape.reach(-pose[2, :3])
            if height < lowest:
                lowest, name = height, hand.link_names[link]
    return -float(lowest), name
