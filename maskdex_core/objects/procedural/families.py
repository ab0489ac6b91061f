"""The object families: random metric sizes, convex pieces, part labels by construction.

Each family returns part → convex pieces, resting on z = 0 in the pose in which it stands or lies.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from maskdex_core.errors import DatasetError, unknown_choice
from maskdex_core.objects.object_model import ObjectModel
from maskdex_core.objects.procedural.shapes import (
    arc,
    bent_rod,
    box,
    frustum,
    laid_down,
    lathe_solid,
    lathe_wall,
    rod,
)

Parts = dict[str, list[np.ndarray]]
Rng = np.random.Generator


def _ear(rng: Rng, radius: float, low: float, high: float, reach: float, width: float) -> list[np.ndarray]:
    """Return a handle at +x between two heights, reaching `reach` beyond the wall."""
    middle, half = (low + high) / 2, (high - low) / 2
    line = arc(reach, half, (radius - width * 0.3, 0, middle), -np.pi / 2, np.pi / 2, 7)
    return bent_rod(line, width, width * rng.uniform(1.0, 1.6))


def mug(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.035, 0.047), rng.uniform(0.075, 0.115)
    wall = rng.uniform(0.004, 0.006)
    body = lathe_wall([radius * rng.uniform(0.85, 1.0), radius], [0, height * 0.86], wall)
    body.append(frustum(radius * 0.9, radius * 0.9, wall * 1.5))
    rim = lathe_wall([radius, radius], [height * 0.86, height], wall)
    ear = _ear(rng, radius, height * 0.2, height * 0.85, rng.uniform(0.024, 0.036), rng.uniform(0.008, 0.012))
    return {"body": body, "rim": rim, "handle": ear}


def jug(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.042, 0.055), rng.uniform(0.15, 0.20)
    profile = [radius, radius * 1.05, radius * rng.uniform(0.6, 0.8)]
    body = lathe_solid(profile, [0, height * 0.5, height * 0.82])
    rim = lathe_wall([profile[-1], profile[-1] * 1.1], [height * 0.82, height], 0.005)
    ear = _ear(rng, radius * 0.95, height * 0.25, height * 0.85, rng.uniform(0.032, 0.045), rng.uniform(0.011, 0.016))
    return {"body": body, "rim": rim, "handle": ear}


def bottle(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.026, 0.040), rng.uniform(0.16, 0.24)
    neck = radius * rng.uniform(0.35, 0.5)
    body = lathe_solid([radius, radius, neck], [0, height * 0.6, height * 0.78])
    cap = lathe_solid([neck * 1.15, neck * 1.15], [height * 0.88, height])
    return {"body": body, "neck": lathe_solid([neck, neck], [height * 0.78, height * 0.88]), "cap": cap}


def spray_bottle(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.028, 0.038), rng.uniform(0.15, 0.19)
    neck = 0.014
    body = lathe_solid([radius, radius, neck], [0, height * 0.62, height * 0.8])
    top = height * 0.8
    head = [box((0.075, 0.026, 0.028), (0.012, 0, top + 0.028)), frustum(neck, neck, 0.02, top)]
    trigger = bent_rod(np.array([[0.03, 0, top + 0.016], [0.036, 0, top - 0.008], [0.03, 0, top - 0.03]]), 0.008, 0.012)
    return {"body": body, "head": head, "trigger": trigger}


def can(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.026, 0.042), rng.uniform(0.07, 0.14)
    rim = lathe_solid([radius, radius * 0.92], [height * 0.94, height])
    return {"body": lathe_solid([radius, radius], [0, height * 0.94]), "rim": rim}


def carton(rng: Rng) -> Parts:
    size = rng.uniform([0.035, 0.05, 0.08], [0.06, 0.085, 0.19])
    lid = float(size[2]) * 0.82
    body = [box((size[0], size[1], lid), (0, 0, lid / 2))]
    return {"body": body, "cap": [box((size[0], size[1], size[2] - lid), (0, 0, (lid + size[2]) / 2))]}


def bowl(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.055, 0.078), rng.uniform(0.04, 0.06)
    wall = rng.uniform(0.004, 0.006)
    foot = radius * rng.uniform(0.45, 0.6)
    body = lathe_wall([foot, radius * 0.88, radius * 0.97], [0, height * 0.5, height * 0.85], wall)
    body.append(frustum(foot, foot, wall))
    return {"body": body, "rim": lathe_wall([radius * 0.97, radius], [height * 0.85, height], wall)}


def wine_glass(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.028, 0.038), rng.uniform(0.14, 0.19)
    stem = rng.uniform(0.0045, 0.0065)
    base, low = 0.006, height * 0.45
    bowl_part = lathe_solid([stem * 1.5, radius], [low, low + 0.03])
    bowl_part += lathe_wall([radius, radius * 1.05, radius * 0.9], [low + 0.03, height * 0.75, height * 0.94], 0.004)
    rim = lathe_wall([radius * 0.9, radius * 0.88], [height * 0.94, height], 0.004)
    stem_part = lathe_solid([stem, stem], [base, low + 0.002])
    return {"body": bowl_part, "stem": stem_part, "base": [frustum(radius, radius * 0.8, base)], "rim": rim}


def knife(rng: Rng) -> Parts:
    grip, blade = rng.uniform(0.095, 0.125), rng.uniform(0.10, 0.16)
    width, thick = rng.uniform(0.018, 0.026), rng.uniform(0.014, 0.019)
    handle = [box((grip, width, thick), (-grip / 2, 0, thick / 2))]
    tall = width * rng.uniform(1.0, 1.4)
    corners = [(0, -tall / 2), (0, tall / 2), (blade * 0.8, tall / 2), (blade, -tall / 2 + 0.002)]
    edge = np.array([[x, y, z] for x, y in corners for z in (thick / 2 - 0.0015, thick / 2 + 0.0015)])
    return {"handle": handle, "blade": [edge]}


def hammer(rng: Rng) -> Parts:
    grip, radius = rng.uniform(0.15, 0.20), rng.uniform(0.011, 0.015)
    head = rng.uniform(0.08, 0.11)
    rest = 0.016
    handle = [rod([-grip, 0, rest], [0.0, 0, rest], 2 * radius)]
    block = [box((0.026, head * 0.6, 0.03), (0.01, -head * 0.1, rest))]
    face = [rod([0.01, head * 0.2, rest], [0.01, head * 0.42, rest], 0.03)]
    return {"handle": handle, "head": block + face}


def screwdriver(rng: Rng) -> Parts:
    grip, shaft = rng.uniform(0.085, 0.11), rng.uniform(0.07, 0.12)
    radius = rng.uniform(0.012, 0.017)
    handle = lathe_solid([radius * 0.8, radius, radius, radius * 0.7], [0, 0.012, grip * 0.8, grip])
    pieces = laid_down(handle), laid_down(lathe_solid([0.0035, 0.0035], [grip, grip + shaft]))
    return {"handle": pieces[0], "shaft": pieces[1]}


def brush(rng: Rng) -> Parts:
    grip, head = rng.uniform(0.11, 0.15), rng.uniform(0.05, 0.08)
    width, thick = rng.uniform(0.016, 0.024), rng.uniform(0.013, 0.018)
    bristle = rng.uniform(0.012, 0.02)
    handle = [rod([-grip, 0, bristle + thick / 2], [0.005, 0, bristle + thick / 2], width, thick)]
    back = [box((head, width * 1.7, thick), (head / 2, 0, bristle + thick / 2))]
    return {
        "handle": handle,
        "head": back,
        "bristles": [box((head * 0.95, width * 1.5, bristle), (head / 2, 0, bristle / 2))],
    }


def pan(rng: Rng) -> Parts:
    radius, height = rng.uniform(0.07, 0.09), rng.uniform(0.03, 0.04)
    body = lathe_wall([radius * 0.9, radius], [0, height], 0.005)
    body.append(frustum(radius * 0.9, radius * 0.9, 0.006))
    length, width = rng.uniform(0.12, 0.16), rng.uniform(0.018, 0.024)
    start = np.array([radius * 0.93, 0, height * 0.75])
    handle = [rod(start, start + np.array([length, 0, 0.012]), width, width * 0.8)]
    return {"body": body, "handle": handle}


def torch(rng: Rng) -> Parts:
    grip, radius = rng.uniform(0.10, 0.14), rng.uniform(0.013, 0.018)
    head = radius * rng.uniform(1.3, 1.7)
    body = laid_down(lathe_solid([radius, radius], [0, grip]))
    front = laid_down(lathe_solid([radius, head, head], [grip, grip + 0.02, grip + 0.045]))
    button = [box((0.016, 0.01, 0.006), (grip * 0.7, 0, radius + 0.001))]
    return {"handle": body, "head": front, "button": button}


def cup(rng: Rng) -> Parts:
    low, high = rng.uniform(0.026, 0.034), rng.uniform(0.032, 0.044)
    height, wall = rng.uniform(0.08, 0.13), rng.uniform(0.003, 0.005)
    body = lathe_wall([low, low + (high - low) * 0.85], [0, height * 0.85], wall)
    body.append(frustum(low * 0.95, low * 0.95, wall * 1.5))
    return {"body": body, "rim": lathe_wall([low + (high - low) * 0.85, high], [height * 0.85, height], wall)}


def fruit(rng: Rng) -> Parts:
    radius, squash = rng.uniform(0.026, 0.042), rng.uniform(0.8, 1.3)
    pear = rng.uniform(0.0, 0.3)  # narrower towards the top
    angle = np.linspace(-0.42 * np.pi, 0.42 * np.pi, 8)
    radii = radius * np.cos(angle) * (1 - pear * (1 + np.sin(angle)) / 2)
    heights = radius * squash * (np.sin(angle) - np.sin(angle[0]))
    stem = lathe_solid([0.003, 0.0025], [float(heights[-1]) - 0.001, float(heights[-1]) + rng.uniform(0.008, 0.016)])
    return {"body": lathe_solid(list(radii), list(heights)), "stem": stem}


def spoon(rng: Rng) -> Parts:
    grip, scoop = rng.uniform(0.11, 0.16), rng.uniform(0.022, 0.034)
    width, thick = rng.uniform(0.010, 0.016), rng.uniform(0.006, 0.010)
    deep = rng.uniform(0.010, 0.016)
    top = deep - thick / 2
    handle = [rod([-grip, 0, top], [-scoop * 0.85, 0, top], width, thick)]
    head = lathe_wall([scoop * 0.6, scoop], [0, deep], 0.003)
    head.append(frustum(scoop * 0.6, scoop * 0.6, 0.003))
    return {"handle": handle, "head": head}


def tape(rng: Rng) -> Parts:
    radius, width = rng.uniform(0.028, 0.055), rng.uniform(0.018, 0.05)
    wall = radius * rng.uniform(0.18, 0.4)
    return {"body": lathe_wall([radius, radius], [0, width], wall)}


def remote(rng: Rng) -> Parts:
    long, wide, thick = rng.uniform([0.12, 0.035, 0.014], [0.18, 0.055, 0.026])
    body = [box((long, wide, thick), (0, 0, thick / 2))]
    buttons = [
        box((0.012, 0.012, 0.005), (long * x, wide * y, thick + 0.0005))
        for x in (0.1, 0.25, 0.4)
        for y in (-0.22, 0.22)
    ]
    return {"body": body, "button": buttons}


def marker(rng: Rng) -> Parts:
    long, radius = rng.uniform(0.11, 0.15), rng.uniform(0.007, 0.012)
    split = long * rng.uniform(0.6, 0.7)
    body = laid_down(lathe_solid([radius * 0.9, radius, radius], [0, 0.008, split]))
    cap = laid_down(lathe_solid([radius * 1.12, radius * 1.12, radius * 0.8], [split, long - 0.006, long]))
    return {"body": body, "cap": cap}


FAMILIES: dict[str, Callable[[Rng], Parts]] = {
    "mug": mug, "jug": jug, "bottle": bottle, "spray_bottle": spray_bottle, "can": can, "carton": carton,
    "bowl": bowl, "wine_glass": wine_glass, "knife": knife, "hammer": hammer, "screwdriver": screwdriver,
    "brush": brush, "pan": pan, "torch": torch, "cup": cup, "fruit": fruit, "spoon": spoon,
    "tape": tape, "remote": remote, "marker": marker,
}  # fmt: skip


def make_object(family: str, seed: int) -> ObjectModel:
    """Build one object; the same family and seed give the same object.

    Raises:
        DatasetError: when the family is unknown.
    """
    if family not in FAMILIES:
        raise DatasetError(unknown_choice("object family", family, FAMILIES))
    rng = np.random.default_rng([zlib.crc32(family.encode()), seed])
    return ObjectModel.from_parts(f"{family}_{seed:03d}", family, FAMILIES[family](rng))
