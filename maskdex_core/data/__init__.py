"""Grasp datasets: one folder format, read and written here."""

from maskdex_core.data.dataset import GraspDataset, ObjectSurface
from maskdex_core.data.files import SCHEMA_VERSION, write_dataset

__all__ = ["SCHEMA_VERSION", "GraspDataset", "ObjectSurface", "write_dataset"]
