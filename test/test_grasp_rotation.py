"""Rotations as six numbers and their angles."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskdex_core.grasp.rotation import geodesic_angle, matrix_from_6d, rotation_about_z, sixd_from_matrix


@given(st.integers(0, 2**31))
def test_any_six_numbers_give_a_rotation_and_rotations_survive(seed):
    six = torch.randn(20, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rotation = matrix_from_6d(six)
    eye = torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    assert torch.allclose(rotation.transpose(1, 2) @ rotation, eye, atol=1e-9)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(20, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(matrix_from_6d(sixd_from_matrix(rotation)), rotation, atol=1e-9)


def test_six_numbers_are_the_first_two_columns():
    rotation = rotation_about_z(torch.tensor(0.3))
    assert torch.equal(sixd_from_matrix(rotation), torch.cat((rotation[:, 0], rotation[:, 1])))


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.5, 3.0, math.pi])
def test_angle_between_turns_about_z(angle):
    base = rotation_about_z(torch.tensor(0.7, dtype=torch.float64))
    turned = base @ rotation_about_z(torch.tensor(angle, dtype=torch.float64))
    assert geodesic_angle(base, turned).item() == pytest.approx(angle, abs=1e-12)


def test_quarter_turn_moves_x_to_y():
    turned = rotation_about_z(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0.0, 0.0])
    assert torch.allclose(turned, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
