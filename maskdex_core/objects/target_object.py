"""What synthesis, physics and metrics work on: an object at rest on z = 0, in its own frame.

Both kinds have the same attributes: `name`, `family`, `part_names`, `pieces` (what physics feels), `bounds`, `sdf`
(distance to everything that a hand must stay out of) and `sample_surface` (what is seen).
"""

from __future__ import annotations

from maskdex_core.objects.meshes.annotated_mesh import AnnotatedMesh
from maskdex_core.objects.object_model import ObjectModel

TargetObject = ObjectModel | AnnotatedMesh
