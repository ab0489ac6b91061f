"""The map of where a text wants the hand: what it can learn, and what a model says of it."""

import pytest
import torch
import torch.nn.functional as F
from grasp_model_support import PALM_FRAME, TEXT_DIM, tiny_model

from maskdex_core.errors import CloudError, ConfigError, TextError
from maskdex_core.grasp import GraspModel
from maskdex_core.grasp.touch_map import NEAREST, TouchMap, nearest_shares

WIDTH = 32


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def _map() -> TouchMap:
    torch.manual_seed(0)
    return TouchMap(TEXT_DIM, WIDTH)


def _cloud(batch: int, points: int = 50, seed: int = 0) -> torch.Tensor:
    return 0.05 * torch.randn(batch, points, 3, generator=_seed(seed))


# ---------------------------------------------------------------------- the network
@pytest.mark.parametrize("points", [1, 7, 300])
def test_every_point_gets_finite_log_odds(points):
    odds = _map()(_cloud(2, points), torch.randn(2, TEXT_DIM, generator=_seed(1)))
    assert odds.shape == (2, points) and odds.dtype == torch.float32
    assert torch.isfinite(odds).all()


def test_rows_of_a_batch_do_not_mix():
    network, cloud, text = _map(), _cloud(3), torch.randn(3, TEXT_DIM, generator=_seed(1))
    together = network(cloud, text)
    assert torch.allclose(together[1:2], network(cloud[1:2], text[1:2]), atol=1e-5)
    assert not torch.allclose(together[1:2], network(cloud[1:2], text[2:3]), atol=1e-3)


def test_points_mix_the_patches_about_them_and_no_others():
    centers = _cloud(2, 20, seed=3)
    points = torch.cat((_cloud(2, 30, seed=4), centers[:, 5:6]), 1)
    share, nearest = nearest_shares(points, centers)
    assert share.shape == (2, 31, 20) and nearest.shape == (2, 31, 1)
    assert (share >= 0.0).all() and torch.allclose(share.sum(-1), torch.ones(2, 31), atol=1e-6)
    assert ((share > 0.0).sum(-1) == NEAREST).all()
    distance = torch.cdist(points, centers, compute_mode="donot_use_mm_for_euclid_dist")
    mixed = torch.where(share > 0.0, distance, 0.0).amax(-1)
    left_out = torch.where(share > 0.0, torch.inf, distance).amin(-1)
    assert (mixed <= left_out).all()
    assert torch.equal(nearest.squeeze(-1), distance.argmin(-1))
    assert (share.argmax(-1) == distance.argmin(-1)).all()  # the nearer, the more
    assert (nearest[:, -1] == 5).all() and (share[:, -1, 5] > 0.5).all()


def test_a_loss_at_one_point_reaches_words_and_patches():
    network = _map()
    network(_cloud(1), torch.randn(1, TEXT_DIM, generator=_seed(1)))[0, 0].backward()
    for name, value in network.named_parameters():
        assert value.grad is not None and torch.isfinite(value.grad).all(), name
    assert network.words[0].weight.grad.abs().max() > 1e-6
    assert network.patches.first.weight.grad.abs().max() > 1e-6


def _two_clumps(scenes: int, generator: torch.Generator):
    """Clumps of 40 points at both ends of an object: points, which of them is meant (scenes,), and touch."""
    spread = torch.rand(scenes, 80, 3, generator=generator) - 0.5
    end = torch.tensor([0.06, 0.0, 0.0]).repeat(80, 1)
    end[40:] *= -1.0
    meant = torch.randint(2, (scenes,), generator=generator)
    touch = (torch.arange(80) // 40 == meant.unsqueeze(1)).float()
    return 0.04 * spread + end, meant, touch


def test_it_learns_which_of_two_clumps_a_text_means():
    network, texts = _map(), torch.randn(2, TEXT_DIM, generator=_seed(5))
    optimizer, draws = torch.optim.Adam(network.parameters(), 3e-3), _seed(0)
    unseen, meant, touch = _two_clumps(32, _seed(9))
    with torch.no_grad():
        right = (network(unseen, texts[meant]) > 0.0) == touch.bool()
    assert right.float().mean() < 0.6  # nothing is known before
    for _ in range(50):
        points, asked, wanted = _two_clumps(6, draws)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(points, texts[asked]), wanted).backward()
        optimizer.step()
    with torch.no_grad():
        chance = network(unseen, texts[meant]).sigmoid()
        other = network(unseen, texts[1 - meant]).sigmoid()
    assert ((chance > 0.5) == touch.bool()).float().mean() > 0.97
    assert ((other > 0.5) == touch.bool()).float().mean() < 0.03  # the text decides, not the shape


def test_a_width_that_its_heads_cannot_share_is_refused():
    with pytest.raises(ConfigError, match="touch_width 30 is not divisible by 4"):
        tiny_model(touch_width=30)


# ---------------------------------------------------------------------- the model
@pytest.fixture(scope="module")
def model() -> GraspModel:
    return tiny_model(tokenizer=PALM_FRAME, view_points=8, tie_codes=True, touch_width=WIDTH).eval()


@pytest.fixture(scope="module")
def text() -> torch.Tensor:
    return torch.randn(TEXT_DIM, generator=_seed(2))


def test_a_model_tells_a_chance_for_every_point(model, text):
    points = _cloud(1, 200)[0]  # more than the 64 that the network reads
    chance = model.touch_map(points, text)
    assert chance.shape == (200,) and not chance.requires_grad
    assert (chance > 0.0).all() and (chance < 1.0).all()
    assert chance.std() > 1e-4
    with_more = torch.cat((points, torch.randn(200, 3)), 1)  # normals, colours: not read
    assert torch.equal(model.touch_map(with_more.numpy(), text.numpy()), chance)
    assert (model.touch_map(points, -text) - chance).abs().max() > 1e-4


def test_a_point_that_is_not_read_has_the_chance_of_the_nearest_that_is(model, text):
    read = _cloud(1, 64)[0]
    read -= read.mean(0)
    doubled = read.repeat_interleave(2, 0)
    doubled[1::2] += 1e-5  # beside each other: of 128 rows the network reads 64
    chance = model.touch_map(doubled, text)
    assert torch.equal(chance[0::2], chance[1::2])
    assert len(chance.unique()) > 32


def test_the_map_moves_with_the_cloud(model, text):
    points = _cloud(1, 64)[0]
    there = points + torch.tensor([0.4, -0.2, 0.1])
    assert torch.allclose(model.touch_map(there, text), model.touch_map(points, text), atol=1e-4)
    order = torch.randperm(63, generator=_seed(0)) + 1  # patches begin at the first point
    order = torch.cat((torch.zeros(1, dtype=torch.int64), order))
    assert torch.allclose(model.touch_map(points[order], text), model.touch_map(points, text)[order], atol=1e-4)


def test_a_checkpoint_without_a_map_says_none(text):
    assert tiny_model().touch_map(_cloud(1)[0], text) is None


def test_a_saved_map_is_the_same_map(model, text, tmp_path):
    points = _cloud(1, 100)[0]
    model.save(tmp_path / "m")
    loaded = GraspModel.load(tmp_path / "m")
    assert loaded.config.transformer.touch_width == WIDTH
    assert torch.equal(loaded.touch_map(points, text), model.touch_map(points, text))


@pytest.mark.parametrize("width", [0, WIDTH])
def test_bad_input_gives_one_sentence(width, text):
    model = tiny_model(touch_width=width)
    with pytest.raises(CloudError, match=r"shape \(0, 3\)"):
        model.touch_map(torch.zeros(0, 3), text)
    with pytest.raises(CloudError, match="NaN"):
        model.touch_map(torch.full((5, 3), float("nan")), text)
    with pytest.raises(TextError, match=r"shape \(3,\), expected \(8,\)"):
        model.touch_map(_cloud(1)[0], torch.zeros(3))


def test_everything_that_places_the_hand_reads_the_map(model, text):
    """Condition and views change with the map: a network that ignored it would not learn from it either."""
    network, points = model.network, _cloud(1, 64)
    maps = [torch.zeros(1, 64), torch.ones(1, 64)]
    first, second = (network.condition(points, text[None], touch=touch) for touch in maps)
    changed = (first - second).abs().amax((0, 2)) > 1e-5
    assert changed.tolist() == [False, False, *([True] * (len(changed) - 2))]  # not [TASK], not the text
    codes = torch.zeros(1, model.tokenizer.chains.positions, dtype=torch.int64)
    known = model.tokenizer.known(codes, torch.ones_like(codes, dtype=torch.bool))
    hand, dropped = model._hand(), torch.zeros(1, dtype=torch.bool)
    seen = [network.view(points, known, hand, dropped, touch.unsqueeze(-1)) for touch in maps]
    assert ((seen[0] - seen[1]).abs().amax(-1) > 1e-5).all()


def test_samples_read_the_map_of_their_own_text(model, text):
    """With another map in the network, and nothing else changed, the network expects other codes."""
    points = _cloud(1, 64)[0]
    before = model.sample(points, text, n=1, temperature=0.0, generator=_seed(0)).token_confidence
    again = tiny_model(tokenizer=PALM_FRAME, view_points=8, tie_codes=True, touch_width=WIDTH).eval()
    same = again.sample(points, text, n=1, temperature=0.0, generator=_seed(0)).token_confidence
    assert torch.equal(before, same)
    with torch.no_grad():
        again.network.touch.second.bias += 3.0
    other = again.sample(points, text, n=1, temperature=0.0, generator=_seed(0)).token_confidence
    assert (other - before).abs().max() > 1e-6
