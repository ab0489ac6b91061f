"""Objects of our own making, with parts by construction."""

from maskdex_core.data.procedural.families import FAMILIES, make_object
from maskdex_core.data.procedural.object_model import ObjectModel

__all__ = ["FAMILIES", "ObjectModel", "make_object"]
