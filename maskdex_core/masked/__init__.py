"""The masked-modelling engine: codes, masks, transformer, sampler. It does not know what tokens mean."""

from maskdex_core.masked.chains import CodeChains
from maskdex_core.masked.quantizer import EmaQuantizer, Quantized
from maskdex_core.masked.residual import ResidualQuantizer
from maskdex_core.masked.sampler import SampledTokens, guided_predictor, sample_tokens
from maskdex_core.masked.schedule import cosine_ratio, masked_count, random_mask, random_waves
from maskdex_core.masked.transformer import BidirectionalTransformer

__all__ = [
    "BidirectionalTransformer",
    "CodeChains",
    "EmaQuantizer",
    "Quantized",
    "ResidualQuantizer",
    "SampledTokens",
    "cosine_ratio",
    "guided_predictor",
    "masked_count",
    "random_mask",
    "random_waves",
    "sample_tokens",
]
