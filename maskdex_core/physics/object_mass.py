"""What everyday things weigh: a density for each family, times the volume of the object's material."""

from __future__ import annotations

from maskdex_core.objects.target_object import TargetObject

TEST_MASS = 0.1  # kg, of hold and lift tests by protocol
LIGHTEST, HEAVIEST = 0.02, 0.8  # kg
DENSITY = 600.0  # kg/m³, of families that are not named: wood, packed food, plastic with air in it
DENSITIES = {  # kg/m³, estimates for the whole object: what is full is modelled solid, what is hollow as walls
    "mug": 2300.0, "cup": 1400.0, "bowl": 2300.0, "plate": 2300.0, "wine_glass": 1500.0, "jug": 500.0,
    "bottle": 900.0, "spray_bottle": 700.0, "can": 1000.0, "carton": 500.0, "fruit": 900.0,
    "knife": 2000.0, "hammer": 2500.0, "screwdriver": 1500.0, "pan": 2700.0, "brush": 700.0,
}  # fmt: skip


def typical_mass(target: TargetObject) -> float:
    """Return about what an object of its family and size weighs, kg."""
    volume = sum(piece.volume for piece in target.pieces)
    return min(max(DENSITIES.get(target.family, DENSITY) * volume, LIGHTEST), HEAVIEST)
