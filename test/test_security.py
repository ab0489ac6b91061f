"""Nothing that comes by file or message can run code, start a shell, or fill the memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from maskdex_core.errors import CloudError, MeshError
from maskdex_core.objects.meshes import mesh_object
from maskdex_core.perception import bag
from maskdex_core.perception.pointcloud2 import decode_points
from maskdex_ros.joint_states import MAX_JOINTS, JointStateStore

CHECKOUT = Path(__file__).resolve().parent.parent
CODE = [
    path for folder in ("maskdex_core", "maskdex_ros", "launch") for path in sorted((CHECKOUT / folder).rglob("*.py"))
]

# Called by name: whatever these are given as text or bytes, they run.
RUN_CODE = {"eval", "exec", "compile", "__import__"}
# module → what must not be taken from it
RUN_DATA = {
    "os": {"system", "popen", "startfile"},
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "joblib": {"load"},
    "torch": {"load"},
    "yaml": {"load", "load_all", "unsafe_load", "full_load", "Loader", "UnsafeLoader"},
}
# Reads the opcodes of a public dataset's pickles with a table of classes of its own; see its tests.
OWN_UNPICKLER = CHECKOUT / "maskdex_core" / "data" / "dexgraspnet_import.py"
# Import by a name that is not written in the code; each says which names it takes.
IMPORTS_BY_NAME = {"bag_player.py", "ros_packages.py"}


def problems(tree: ast.AST) -> Iterator[str]:
    """Every dangerous call in a module, as a sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in RUN_DATA.get(node.value.id, ()):
                yield f"line {node.lineno}: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & RUN_DATA.get(
            node.module or "", set()
        ):
            yield f"line {node.lineno}: from {node.module} import {', '.join(alias.name for alias in node.names)}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in RUN_CODE:
                yield f"line {node.lineno}: {node.func.id}()"
            for keyword in node.keywords:
                given = getattr(keyword.value, "value", None)
                if keyword.arg == "shell" and given is not False:
                    yield f"line {node.lineno}: shell={given}"
                if keyword.arg == "allow_pickle" and given is not False:
                    yield f"line {node.lineno}: allow_pickle={given}"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_module_runs_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(problems(tree))
    imports = [
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
    ]
    assert not found or path == OWN_UNPICKLER, found
    assert not imports or path.name in IMPORTS_BY_NAME


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "os.system('ls')",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "from pickle import loads",
        "torch.load(path)",
    ],
)
def test_the_scan_sees_what_it_looks_for(line: str) -> None:
    assert list(problems(ast.parse(line)))


def test_a_bag_cannot_name_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")
    from maskdex_ros.bag_player import message_class

    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text("raise SystemExit('code of a bag ran')\n")
    (tmp_path / "evil" / "msg.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("evil/msg/Evil", "nothing", "a/b/c/d", "../evil/msg/Evil", ""):
        assert message_class(name) is None
    assert message_class("std_msgs/msg/String").__name__ == "String"


class TestSizes:
    def test_a_cloud(self) -> None:
        fields = [SimpleNamespace(name=name, offset=4 * i, datatype=7) for i, name in enumerate("xyz")]
        message = SimpleNamespace(
            height=10_000, width=10_000, fields=fields, point_step=12, row_step=120_000, is_bigendian=False, data=b""
        )
        with pytest.raises(CloudError, match="100000000 points; at most"):
            decode_points(message)

    def test_a_message_of_a_bag(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bag, "MAX_MESSAGE_BYTES", 1000)
        with pytest.raises(CloudError, match=r"has \d+ bytes; at most 1000 are accepted"):
            bag.load_bag(CHECKOUT / "data" / "demo_scene" / "bag")

    def test_the_transforms_of_a_bag(self) -> None:
        message = SimpleNamespace(transforms=[None] * (bag.MAX_TRANSFORMS // 2))
        assert len(bag.bounded_transforms([message, message])) == bag.MAX_TRANSFORMS
        with pytest.raises(CloudError, match="more than 10000 static transforms"):
            bag.bounded_transforms(iter([message] * 3))

    def test_a_mesh_file(self, tmp_path: Path) -> None:
        path = tmp_path / "large.stl"
        with path.open("wb") as file:
            file.truncate(mesh_object.MAX_MESH_BYTES + 1)  # sparse: takes no room
        with pytest.raises(MeshError, match=r"has 500000001 bytes; at most 500000000"):
            mesh_object.read_mesh(path)

    def test_joint_names(self) -> None:
        store = JointStateStore()
        names = [f"joint_{number}" for number in range(2 * MAX_JOINTS)]
        store.update(SimpleNamespace(name=names, position=[0.0] * len(names)))
        store.update(SimpleNamespace(name=[names[0], "late"], position=[1.0, 1.0]))
        assert len(store._positions) == MAX_JOINTS
        assert store.positions([names[0]], 1.0) == {names[0]: 1.0}


@pytest.mark.parametrize(
    ("rotation", "translation"), [((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), ((0.0, 0.0, 0.0, 1.0), (np.nan, 0.0, 0.0))]
)
def test_a_transform_of_a_bag_that_is_none_is_named(
    rotation: tuple[float, ...], translation: tuple[float, ...]
) -> None:
    stamped = SimpleNamespace(
        child_frame_id="camera",
        header=SimpleNamespace(frame_id="link_base"),
        transform=SimpleNamespace(
            rotation=SimpleNamespace(**dict(zip("xyzw", rotation, strict=True))),
            translation=SimpleNamespace(**dict(zip("xyz", translation, strict=True))),
        ),
    )
    with pytest.raises(CloudError, match="transform of frame 'camera' is"):
        bag.chain_transforms([stamped], "link_base", "camera")
