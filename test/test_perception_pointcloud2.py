"""PointCloud2 decoding is right for any layout a publisher may choose."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdex_core.errors import CloudError
from maskdex_core.perception.pointcloud2 import cloud_from_message, decode_points, pack_xyzrgb

FLOAT32, FLOAT64, UINT32, UINT8 = 7, 8, 6, 2


def field(name: str, offset: int, datatype: int) -> SimpleNamespace:
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=1)


def plain_message(count: int = 300) -> SimpleNamespace:
    xyz = np.random.default_rng(0).uniform(0.2, 0.8, (count, 3))
    fields = [field("x", 0, 7), field("y", 4, 7), field("z", 8, 7), field("rgb", 12, 7)]
    return SimpleNamespace(
        width=count,
        height=1,
        fields=fields,
        point_step=16,
        row_step=16 * count,
        is_bigendian=False,
        data=pack_xyzrgb(xyz, np.full((count, 3), (255, 128, 0), np.uint8)).tobytes(),
        header=SimpleNamespace(frame_id="optical"),
    )


@st.composite
def layouts(draw: st.DrawFn) -> dict:
    names = draw(st.permutations(["x", "y", "z", "rgb", "intensity"]))
    return {
        "names": [n for n in names if n != "rgb" or draw(st.booleans())],
        "gaps": draw(st.lists(st.integers(0, 5), min_size=6, max_size=6)),
        "double": draw(st.booleans()),
        "big": draw(st.booleans()),
        "color_name": draw(st.sampled_from(["rgb", "rgba"])),
        "color_type": draw(st.sampled_from([FLOAT32, UINT32])),
        "row_padding": draw(st.integers(0, 9)),
        "size": draw(st.tuples(st.integers(1, 5), st.integers(1, 7))),
        "container": draw(st.sampled_from([bytes, bytearray, list, lambda b: array.array("B", b), np.frombuffer])),
        "seed": draw(st.integers(0, 1000)),
    }


@settings(max_examples=150, deadline=None)
@given(layouts())
def test_any_order_padding_type_and_endianness(layout: dict):
    order, (height, width) = (">" if layout["big"] else "<"), layout["size"]
    offset, fields, places = 0, [], {}
    for name, gap in zip(layout["names"], layout["gaps"], strict=False):
        offset += gap
        wide = layout["double"] and name in "xyz"
        kind = FLOAT64 if wide else layout["color_type"] if name == "rgb" else FLOAT32
        fields.append(field(layout["color_name"] if name == "rgb" else name, offset, kind))
        places[name] = (offset, order + ("f8" if wide else "f4"))
        offset += 8 if wide else 4
    step = offset + layout["gaps"][5]
    rng = np.random.default_rng(layout["seed"])
    xyz = rng.normal(size=(height, width, 3)).astype(np.float32)
    rgb = rng.integers(0, 256, (height, width, 3))
    row_step = step * width + layout["row_padding"]
    data = rng.integers(0, 256, height * row_step, dtype=np.uint8)
    for row in range(height):
        for column in range(width):
            start = row * row_step + column * step
            for axis, name in enumerate("xyz"):
                at, dtype = places[name]
                raw = np.array(xyz[row, column, axis], dtype).tobytes()
                data[start + at : start + at + len(raw)] = np.frombuffer(raw, np.uint8)
            if "rgb" in places:
                r, g, b = (int(v) for v in rgb[row, column])
                word = np.array((255 << 24) | (r << 16) | (g << 8) | b, order + "u4").tobytes()
                at = start + places["rgb"][0]
                data[at : at + 4] = np.frombuffer(word, np.uint8)
    container = layout["container"]
    raw = data.tobytes()
    message = SimpleNamespace(
        width=width,
        height=height,
        fields=fields,
        point_step=step,
        row_step=row_step,
        is_bigendian=layout["big"],
        data=np.frombuffer(raw, np.uint8) if container is np.frombuffer else container(raw),
    )
    points, colors = decode_points(message)
    assert np.array_equal(points, xyz.reshape(-1, 3))
    if "rgb" in places:
        assert np.abs(colors - rgb.reshape(-1, 3) / 255).max() < 1e-6
    else:
        assert colors is None


def test_frame_and_colors_reach_the_cloud():
    cloud = cloud_from_message(plain_message(), text="hold it")
    assert (cloud.frame, cloud.text) == ("optical", "hold it")
    assert np.allclose(cloud.colors, (1.0, 128 / 255, 0.0))


def changed(**values: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(plain_message()), **values})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (changed(fields=[field("x", 0, 7), field("y", 4, 7)]), "no field z; expected x, y, z; found: x, y"),
        (changed(fields=[]), "found: none"),
        (
            changed(fields=[field("x", 0, 2), field("y", 4, 7), field("z", 8, 7)]),
            "'x' has type uint8; expected float32",
        ),
        (changed(fields=[field("x", 0, 7), field("y", 4, 7), field("z", 14, 7)]), "'z' ends at byte 18"),
        (changed(fields=[*plain_message().fields[:3], field("rgb", 12, UINT8)]), "'rgb' has type uint8"),
        (changed(fields=[field("x", 0, 99), field("y", 4, 7), field("z", 8, 7)]), "'x' has type 99"),
        (changed(data=plain_message().data[:-1]), "has 4799 bytes; .* promise 4800"),
        (changed(width=0), "0 points"),
        (changed(width=10_000, height=10_000, row_step=160_000), "at most 5000000"),
        (changed(height=2, width=150, row_step=100), "row_step 100 is shorter"),
    ],
)
def test_bad_messages_are_named(message: SimpleNamespace, words: str):
    with pytest.raises(CloudError, match=words):
        decode_points(message)
