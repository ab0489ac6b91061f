"""Which objects `maskdex evaluate` grasps: of a split, new ones, or of a folder of meshes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskdex_core.cli.common import say
from maskdex_core.errors import DatasetError, MaskdexError, UsageError

if TYPE_CHECKING:
    from maskdex_core.data.dataset import GraspDataset
    from maskdex_core.metrics.subjects import Subject


@dataclass(frozen=True)
class ChosenObjects:
    """What was asked for.

    Attributes:
        data: dataset folder. split: of the dataset, or "fresh"; None for all of `folder`.
        folder: of meshes; None for procedural objects.
    """

    data: Path
    split: str | None
    folder: Path | None

    @property
    def where(self) -> str:
        """Say it in a few words."""
        return ", ".join(filter(None, ("folder" if self.folder else None, self.split)))

    def dataset(self) -> GraspDataset:
        """Load the dataset.

        Raises:
            DatasetError: when it cannot be used.
        """
        from maskdex_core.data.dataset import GraspDataset

        return GraspDataset.load(self.data)

    def subjects(self) -> list[Subject]:
        """Return the objects.

        Raises:
            DatasetError: when there are none. UsageError: when new procedural objects are looked for in a folder.
        """
        from maskdex_core.metrics.subjects import (
            FRESH,
            folder_subjects,
            fresh_subjects,
            in_split,
            split_subjects,
        )

        if self.split == FRESH:
            if self.folder is not None:
                raise UsageError(f"--split {FRESH} makes new procedural objects, --objects reads meshes; choose one")
            return fresh_subjects()
        if self.folder is None:
            return split_subjects(self.dataset(), str(self.split))
        found = folder_subjects(self.folder)
        if self.split is None:
            return found
        kept = in_split(found, self.dataset(), self.split)
        say(f"{self.folder}: {len(kept)} of {len(found)} objects are in split {self.split!r}")
        return kept

    def check_tested(self, trials: Sequence[object], left_out: LeftOut) -> None:
        """Refuse to make a table of nothing.

        Raises:
            DatasetError: when all objects were left out.
        """
        if not trials:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
            raise DatasetError(f"no object of {self.where!r} can be tested; {reasons}")


class LeftOut(dict[str, str]):
    """Objects that could not be tested, by name, and why; each is told when it happens."""

    def __call__(self, name: str, error: MaskdexError) -> None:
        """Note one."""
        self[name] = str(error)
        say(f"{name} is left out: {error}")
