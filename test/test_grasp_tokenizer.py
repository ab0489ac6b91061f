"""The part-aware tokenizer: parts, limits, locality."""

import pytest
import torch
from grasp_model_support import PALM_FRAME, shadow, tiny_config, tiny_model

from maskdex_core.grasp import PalmPose
from maskdex_core.grasp.point_tokenizer import PointTokenizer
from maskdex_core.grasp.pose_tokenizer import PoseTokenizer
from maskdex_core.grasp.rotation import matrix_from_6d, rotation_about_z
from maskdex_core.grasp.surface import hand_points, part_selection


def _grasps(count: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    hand = shadow()
    share = torch.rand(count, 22, generator=generator)
    palm = PalmPose(
        matrix_from_6d(torch.randn(count, 6, generator=generator)),
        0.1 * torch.randn(count, 3, generator=generator),
    )
    return hand.lower + share * (hand.upper - hand.lower), palm


def _tokens(tokenizer, count: int, seed: int = 0):
    return torch.randint(32, (count, tokenizer.chains.positions), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[{}, PALM_FRAME], ids=["object frame", "palm frame"])
def tokenizer(request):
    return tiny_model(tokenizer=request.param).tokenizer


def test_every_part_gives_the_same_number_of_its_own_points():
    hand = shadow()
    selection = part_selection(hand.surface_part, 6, 96)
    assert selection.shape == (6, 16)
    assert torch.equal(hand.surface_part[selection], torch.arange(6).unsqueeze(1).expand(6, 16))
    assert all(len(row.unique()) == 16 for row in selection)


def test_hand_points_move_rigidly_with_the_palm():
    hand, (joints, palm) = shadow(), _grasps(3)
    selection = part_selection(hand.surface_part, 6, 96)
    turn, shift = rotation_about_z(torch.tensor([0.1, 1.0, 2.0])), torch.randn(3, 3)
    moved = PalmPose(turn @ palm.rotation, (turn @ palm.translation.unsqueeze(-1)).squeeze(-1) + shift)
    before = hand_points(hand, selection, joints, *palm).flatten(1, 2)
    after = hand_points(hand, selection, joints, *moved).flatten(1, 2)
    assert torch.allclose(before @ turn.transpose(1, 2) + shift.unsqueeze(1), after, atol=1e-5)


def test_a_part_encoder_sees_its_part_only(tokenizer):
    hand = shadow()
    joints, palm = _grasps(5)
    moved = joints.clone()
    ring = hand.joint_part == hand.part_names.index("ring")
    middle = 0.5 * (hand.lower + hand.upper)
    moved[:, ring] = torch.where(joints[:, ring] > middle[ring], hand.lower[ring], hand.upper[ring])
    first, second = (_latent(tokenizer, own, palm) for own in (joints, moved))
    changed = ((first - second).abs().amax((0, 2)) > 1e-4).tolist()
    assert changed[-5:] == [False, False, False, True, False] and not any(changed[:-5])


def _latent(tokenizer, joints, palm):
    return (
        tokenizer.latent(joints) if isinstance(tokenizer, PoseTokenizer) else tokenizer.latent(shadow(), joints, palm)
    )


def test_decoded_joints_are_inside_the_limits(tokenizer):
    hand = shadow()
    for stage in tokenizer.quantizer.stages:
        stage.codebook.mul_(100.0)
    joints, palm = tokenizer.decode(_tokens(tokenizer, 200))
    assert (joints >= hand.lower).all() and (joints <= hand.upper).all()
    eye = torch.eye(3).expand(200, 3, 3)
    assert torch.allclose(palm.rotation.transpose(1, 2) @ palm.rotation, eye, atol=1e-5)


def test_with_the_palm_held_other_fingers_stay_bitwise(tokenizer):
    hand, part_of = shadow(), tokenizer.chains.part_of
    tokens = _tokens(tokenizer, 40)
    joints, palm = tokenizer.decode(tokens)
    for part in range(1, 6):
        edited = tokens.clone()
        edited[:, part_of == part] = (edited[:, part_of == part] + 1) % 32
        after, held = tokenizer.decode(edited, palm)
        own = hand.joint_part == part
        assert torch.equal(after[:, ~own], joints[:, ~own])
        assert (after[:, own] - joints[:, own]).abs().max() > 1e-3
        assert held is palm


@pytest.mark.parametrize(("frame", "reads"), [({}, range(6)), (PALM_FRAME, [0])], ids=["object", "palm"])
def test_which_tokens_the_palm_is_decoded_from(frame, reads):
    tokenizer = tiny_model(tokenizer=frame).tokenizer
    tokens, part_of = _tokens(tokenizer, 40), tokenizer.chains.part_of
    _, palm = tokenizer.decode(tokens)
    for part in range(6):
        edited = tokens.clone()
        edited[:, part_of == part] = (edited[:, part_of == part] + 1) % 32
        _, after = tokenizer.decode(edited)
        moved = (after.translation - palm.translation).abs().max()
        assert moved > 1e-5 if part in reads else moved == 0.0


def test_tokenizing_leaves_the_codebooks_alone_even_in_training_mode(tokenizer):
    tokenizer.train()
    joints, palm = _grasps(8)
    before = tokenizer.quantizer.codebook.clone()
    tokens = tokenizer.tokenize(shadow(), joints, palm)
    assert tokenizer.quantizer.training and torch.equal(before, tokenizer.quantizer.codebook)
    assert tokens.shape == (8, tokenizer.chains.positions)
    assert int(tokens.max()) < tiny_config().tokenizer.codes


def test_loss_reaches_encoder_and_decoder(tokenizer):
    tokenizer.train()
    joints, palm = _grasps(16)
    loss, report = tokenizer.loss(shadow(), joints, palm, torch.arange(16) % 2 == 0)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in tokenizer.parameters())
    assert set(report) >= {"points_mm", "palm_mm", "palm_deg", "joints_deg", "usage", "perplexity"}


def test_known_codes_place_palm_and_fingers_and_masked_ones_do_not():
    tokenizer = tiny_model(tokenizer=PALM_FRAME).tokenizer
    codes, chains = _tokens(tokenizer, 10), tokenizer.chains
    whole = tokenizer.decode(codes)
    nothing = tokenizer.known(codes, torch.ones_like(codes, dtype=torch.bool))
    everything = tokenizer.known(codes, torch.zeros_like(codes, dtype=torch.bool))
    assert not nothing.placed.any() and not nothing.posed.any() and not nothing.palm.translation.any()
    assert everything.placed.all() and everything.posed.tolist()[0] == [False] + [True] * 5
    assert torch.allclose(everything.palm.translation, whole.palm.translation, atol=1e-6)
    assert torch.allclose(everything.joints, whole.joints, atol=1e-6)
    # What lies under the mask is never read.
    mask = chains.wave_of.expand(10, -1) >= 2
    other = torch.where(mask, (codes + 1) % 32, codes)
    first, second = tokenizer.known(codes, mask), tokenizer.known(other, mask)
    assert torch.equal(first.palm.translation, second.palm.translation) and torch.equal(first.joints, second.joints)
    assert PointTokenizer.known(tokenizer, codes, mask) is None


@pytest.mark.parametrize("frame", [{}, PALM_FRAME], ids=["object", "palm"])
def test_mean_codes_of_sure_logits_are_the_decoded_grasp(frame):
    tokenizer = tiny_model(tokenizer=frame).tokenizer
    codes = _tokens(tokenizer, 6)
    sure = torch.full((6, codes.shape[1], 32), -50.0).scatter(-1, codes.unsqueeze(-1), 50.0).requires_grad_()
    for wave in range(tokenizer.chains.waves):
        asked = (tokenizer.chains.wave_of == wave).expand(6, -1)
        nothing = torch.zeros_like(asked)
        expected, decoded = tokenizer.expected(sure, codes, asked, nothing), tokenizer.decode(codes)
        assert torch.allclose(expected.joints, decoded.joints, atol=1e-5)
    soft = torch.zeros_like(sure).requires_grad_()
    tokenizer.expected(soft, codes, asked, asked).joints.sum().backward()
    assert soft.grad.abs().sum() > 0
