"""Task texts become vectors: one interface, two encoders."""

from maskdex_core.text.encoder import TEXT_LIMIT, TextEncoder, check_text, load_encoder

__all__ = ["TEXT_LIMIT", "TextEncoder", "check_text", "load_encoder"]
