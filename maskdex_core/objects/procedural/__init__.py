"""Objects of our own making, with parts by construction."""

from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.procedural.families import FAMILIES, make_object

__all__ = ["FAMILIES", "ObjectModel", "make_object"]
