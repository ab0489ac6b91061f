"""`maskdex sample` and `maskdex edit`: grasps on a mesh, without a robot."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, check_seed, output_file, say
from maskdex_core.errors import UsageError, unknown_choice

if TYPE_CHECKING:
    import torch

    from maskdex_core.planning.geometry import ObjectGeometry

MAX_GRASPS = 10_000
NO_TABLE = -math.inf  # a mesh has no table under it


@dataclasses.dataclass(frozen=True, kw_only=True)
class _MeshCommand(TorchCommand):
    mesh: Annotated[Path, arg(metavar="FILE")]
    """Watertight mesh in metres: .obj, .ply, .stl, .off, .glb or .gltf."""
    text: Annotated[str, arg(metavar="TEXT")]
    """What to do with the object."""
    out: Annotated[Path, arg(metavar="FILE.npz")]
    """Where the grasps are written, poses in the mesh's frame."""
    seed: Annotated[int | None, arg(metavar="N")] = None
    """Makes the result repeatable."""
    checkpoint: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the grasp model; the shipped one by default."""
    refine: bool = True
    """Bring the drawn grasps into contact with the mesh."""

    def _check(self) -> None:
        """Look at what costs nothing, before anything heavy is loaded."""
        check_seed(self.seed)
        self.set_threads()
        from maskdex_core.text.encoder import check_text

        check_text(self.text)
        output_file(self.out, ".npz")

    def _generator(self) -> torch.Generator:
        import torch

        generator = torch.Generator()
        generator.seed() if self.seed is None else generator.manual_seed(self.seed)
        return generator

    def _geometry(self) -> ObjectGeometry:
        import torch

        from maskdex_core.objects.meshes.mesh_object import load_mesh_object
        from maskdex_core.planning.geometry import ObjectGeometry

        found = load_mesh_object(self.mesh)
        size = " x ".join(f"{100 * side:.1f}" for side in found.extent)
        say(f"mesh: {found.name}, {size} cm")
        points = torch.from_numpy(found.points - found.center).float()
        return ObjectGeometry(found.center, points, found.sdf.moved(found.center), NO_TABLE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(_MeshCommand):
    """Draw grasps of the Shadow hand on a mesh, best first."""

    n: int = 64
    """Number of grasps."""

    def run(self) -> int:
        """Sample, refine, rank and write."""
        if not 1 <= self.n <= MAX_GRASPS:
            raise UsageError(f"--n {self.n} is out of range; expected 1 to {MAX_GRASPS}")
        self._check()
        geometry = self._geometry()
        from maskdex_core.grasp.model import GraspModel
        from maskdex_core.hands.model import HandModel
        from maskdex_core.planning.object_grasps import AS_DRAWN, sample_on_object
        from maskdex_core.refine.optimizer import RefineConfig

        model = GraspModel.load(self.checkpoint)
        grasps = sample_on_object(
            model, HandModel.load("shadow"), geometry, self.text, self.n, self._generator(),
            RefineConfig() if self.refine else AS_DRAWN, lambda done: say(f"grasps: {done} of {self.n}"),
        )  # fmt: skip
        grasps.to_npz(self.out)
        say(f"saved {len(grasps)} grasps in {self.out}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit(_MeshCommand):
    """Draw some parts of grasps anew under a text; everything else stays. Keeps the grasps' order."""

    grasps: Annotated[Path, arg(metavar="FILE.npz")]
    """What `maskdex sample` wrote for the same mesh."""
    parts: Annotated[str, arg(metavar="P1,P2")]
    """Parts to draw anew: palm, thumb, index, middle, ring, little."""

    def run(self) -> int:
        """Edit, refine only what was asked for, and write."""
        parts = self._parts()
        self._check()
        from maskdex_core.grasp.model import GraspModel
        from maskdex_core.grasp.types import GraspBatch
        from maskdex_core.hands.model import HandModel
        from maskdex_core.planning.object_grasps import AS_DRAWN, edit_on_object
        from maskdex_core.refine.optimizer import RefineConfig

        grasps = GraspBatch.from_npz(self.grasps)
        geometry, model = self._geometry(), GraspModel.load(self.checkpoint)
        if grasps.checkpoint not in (None, model.fingerprint):
            say(f"tokens are of checkpoint {grasps.checkpoint}, this is {model.fingerprint}: tokenized anew")
        edited, report = edit_on_object(
            model, HandModel.load("shadow"), geometry, grasps, parts, self.text, self._generator(),
            RefineConfig() if self.refine else AS_DRAWN,
        )  # fmt: skip
        edited.to_npz(self.out)
        say(
            f"unedited joints moved {math.degrees(report.joints):.4g} deg, "
            f"palm {1000 * report.palm_translation:.4g} mm" + (" (asked for)" if "palm" in parts else "")
        )
        say(f"saved {len(edited)} grasps in {self.out}")
        return 0

    def _parts(self) -> tuple[str, ...]:
        from maskdex_core.hands.spec import PART_NAMES

        parts = tuple(part.strip() for part in self.parts.split(",") if part.strip())
        for part in parts or ("",):
            if part not in PART_NAMES:
                raise UsageError(f"--parts: {unknown_choice('part', part, PART_NAMES)}")
        return parts
