"""What the tokens mean here: grasps of a dexterous hand on an object, under a task text."""

from maskdex_core.grasp.config import ModelConfig, SamplingConfig, TokenizerConfig, TransformerConfig
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.tokenizer import GraspTokenizer, build_tokenizer
from maskdex_core.grasp.types import GraspBatch

__all__ = [
    "GraspBatch",
    "GraspModel",
    "GraspTokenizer",
    "HandLayout",
    "ModelConfig",
    "PalmPose",
    "SamplingConfig",
    "TokenizerConfig",
    "TransformerConfig",
    "build_tokenizer",
]
