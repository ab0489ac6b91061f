"""The part-aware tokenizer: parts, limits, locality."""

import torch
from grasp_model_support import shadow, tiny_config, tiny_model

from maskdex_core.grasp import PalmPose
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


def _tokens(count: int, seed: int = 0):
    return torch.randint(32, (count, 6), generator=torch.Generator().manual_seed(seed))


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


def test_a_part_encoder_sees_its_part_only():
    tokenizer, hand = tiny_model().tokenizer, shadow()
    joints, palm = _grasps(5)
    moved = joints.clone()
    ring = hand.joint_part == hand.part_names.index("ring")
    middle = 0.5 * (hand.lower + hand.upper)
    moved[:, ring] = torch.where(joints[:, ring] > middle[ring], hand.lower[ring], hand.upper[ring])
    selection = tokenizer.selection(hand)
    first = tokenizer.latent(hand_points(hand, selection, joints, *palm))
    second = tokenizer.latent(hand_points(hand, selection, moved, *palm))
    changed = (first - second).abs().amax((0, 2)) > 1e-4
    assert changed.tolist() == [False, False, False, False, True, False]


def test_decoded_joints_are_inside_the_limits():
    hand = shadow()
    tokenizer = tiny_model().tokenizer
    tokenizer.quantizer.codebook.mul_(100.0)
    joints, palm = tokenizer.decode(_tokens(200))
    assert (joints >= hand.lower).all() and (joints <= hand.upper).all()
    eye = torch.eye(3).expand(200, 3, 3)
    assert torch.allclose(palm.rotation.transpose(1, 2) @ palm.rotation, eye, atol=1e-5)


def test_with_the_palm_held_other_fingers_stay_bitwise():
    tokenizer, hand = tiny_model().tokenizer, shadow()
    tokens = _tokens(40)
    joints, palm = tokenizer.decode(tokens)
    for part in range(1, 6):
        edited = tokens.clone()
        edited[:, part] = (edited[:, part] + 1) % 32
        after, held = tokenizer.decode(edited, palm)
        own = hand.joint_part == part
        assert torch.equal(after[:, ~own], joints[:, ~own])
        assert (after[:, own] - joints[:, own]).abs().max() > 1e-3
        assert held is palm


def test_the_palm_is_decoded_from_all_tokens():
    tokenizer = tiny_model().tokenizer
    tokens = _tokens(40)
    _, palm = tokenizer.decode(tokens)
    for part in range(6):
        edited = tokens.clone()
        edited[:, part] = (edited[:, part] + 1) % 32
        _, after = tokenizer.decode(edited)
        assert (after.translation - palm.translation).abs().max() > 1e-5


def test_tokenizing_leaves_the_codebooks_alone_even_in_training_mode():
    tokenizer, hand = tiny_model().tokenizer.train(), shadow()
    joints, palm = _grasps(8)
    points = hand_points(hand, tokenizer.selection(hand), joints, *palm)
    before = tokenizer.quantizer.codebook.clone()
    tokens = tokenizer.tokenize(points)
    assert tokenizer.quantizer.training and torch.equal(before, tokenizer.quantizer.codebook)
    assert tokens.shape == (8, 6) and int(tokens.max()) < tiny_config().tokenizer.codes


def test_loss_reaches_encoder_and_decoder():
    tokenizer, (joints, palm) = tiny_model().tokenizer.train(), _grasps(16)
    loss, report = tokenizer.loss(shadow(), joints, palm, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in tokenizer.parameters())
    assert set(report) >= {"points_mm", "palm_mm", "palm_deg", "joints_deg", "usage", "perplexity"}
