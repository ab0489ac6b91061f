"""Builds tf2_msgs/TFMessage for the PyPI wheels, which lack it: `python -m maskdex_ros.build_tf2_msgs`.

The wheels carry the generators that a ROS distribution builds messages with, and rosbags the definition. What
comes out is one Python package with one extension module, in the environment's site-packages. Only the message
itself is made: no services, no actions, no C++.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from maskdex_core.errors import ConfigError, MaskdexError
from maskdex_ros.environment import ros_environment, wheels_installed

PACKAGE, MESSAGE = "tf2_msgs", "tf2_msgs/msg/TFMessage"
NEEDED = ("builtin_interfaces", "std_msgs", "geometry_msgs")  # message packages that the definition names
KINDS = ("rosidl_generator_c", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c", "rosidl_generator_py")
RUNTIME = (
    "rosidl_runtime_c", "rosidl_typesupport_c", "rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp",
    "rcutils", "rmw", "fastcdr",
)  # fmt: skip
TYPESUPPORT = "rosidl_typesupport_c"
INIT = f'"""{MESSAGE}, and nothing else of the package; made by `python -m maskdex_ros.build_tf2_msgs`."""\n'


def build(site: Path) -> Path:
    """Make the package in a site-packages folder, whole or not at all, and return its folder.

    Raises:
        ConfigError: when a compiler, Python's headers or a part of the wheels is missing, or does not work.
    """
    compilers = _compilers()
    with tempfile.TemporaryDirectory(prefix=".maskdex_", dir=site) as folder:
        root = Path(folder)
        package = root / PACKAGE
        _generate(package)
        _compile(root, package, compilers)
        for leftover in ("*.c", "*.cpp", "*.h", "*.o", "*.idl", "*.json"):
            for path in package.rglob(leftover):
                path.unlink()
        _try_out(root)
        target = site / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        package.rename(target)
    return target


def definition() -> str:
    """Return the message's definition as rosbags knows it, without those of its parts."""
    from rosbags.typesys import Stores, get_typestore

    text, _ = get_typestore(Stores.LATEST).generate_msgdef(MESSAGE)
    return text.partition("=====")[0]


def _compilers() -> dict[str, str]:
    found = {".c": shutil.which("gcc") or shutil.which("cc"), ".cpp": shutil.which("g++") or shutil.which("c++")}
    if not all(found.values()):
        raise ConfigError("no C and C++ compiler was found; expected gcc and g++ (Debian: apt install g++)")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        raise ConfigError(f"Python's headers are missing; Debian has them in python3.{sys.version_info.minor}-dev")
    return {suffix: str(path) for suffix, path in found.items()}


def _generate(package: Path) -> None:
    """Write the C, C++ and Python sources of the message into the package's folder.

    Every generator reads a file of arguments, the one that CMake writes for it in a ROS workspace.
    """
    try:
        from rosidl_adapter.msg import convert_msg_to_idl
        from rosidl_generator_c import generate_c
        from rosidl_generator_py import generate_py
        from rosidl_generator_type_description import generate_type_hash
        from rosidl_typesupport_c import generate_c as generate_typesupport
        from rosidl_typesupport_fastrtps_c import generate_typesupport_fastrtps_c
    except ImportError as error:
        raise ConfigError(f"the ROS wheels lack a message generator: {error}") from error

    source = Path("msg") / f"{MESSAGE.rpartition('/')[2]}.msg"
    (package / "msg").mkdir(parents=True)
    (package / source).write_text(definition(), encoding="utf-8")
    (package / "__init__.py").write_text(INIT, encoding="utf-8")
    arguments = _Arguments(package, source)
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            convert_msg_to_idl(package, PACKAGE, source, package / "msg")
            generate_type_hash(arguments.write("rosidl_generator_type_description"))
            generate_c(arguments.write("rosidl_generator_c"))
            # One implementation, so that it is linked and never looked for by name.
            generate_typesupport(arguments.write("rosidl_typesupport_c"), ["rosidl_typesupport_fastrtps_c"])
            generate_typesupport_fastrtps_c(arguments.write("rosidl_typesupport_fastrtps_c"))
            generate_py(arguments.write("rosidl_generator_py"), [TYPESUPPORT])
    except Exception as error:  # other versions of the wheels: their failures are not ours to foresee
        raise ConfigError(f"the message generators failed: {type(error).__name__}: {error}") from error


class _Arguments:
    """The generators' arguments for one message."""

    def __init__(self, package: Path, source: Path) -> None:
        """Remember where `source`, relative to the package's folder, lies."""
        self._package, self._idl = package, source.with_suffix(".idl").as_posix()
        self._described = package / source.with_suffix(".json")

    def write(self, generator: str) -> str:
        """Write the arguments of one generator, and the header that CMake would configure for it."""
        resources = Path(sys.prefix) / "share" / generator / "resource"
        header = resources / f"{generator}__visibility_control.h.in"
        if header.exists():
            text = header.read_text(encoding="utf-8").replace("@PROJECT_NAME@", PACKAGE)
            text = text.replace("@PROJECT_NAME_UPPER@", PACKAGE.upper())
            (self._package / "msg" / header.stem).write_text(text, encoding="utf-8")
        share = Path(sys.prefix) / "share"
        content = {
            "package_name": PACKAGE,
            "output_dir": str(self._package),
            "template_dir": str(resources),
            "idl_tuples": [f"{self._package}:{self._idl}"],
            "include_paths": [f"{needed}:{share / needed}" for needed in NEEDED],
            "type_description_tuples": [f"{self._idl}:{self._described}"],
            "target_dependencies": [],
        }
        if generator == "rosidl_generator_type_description":
            del content["type_description_tuples"]
        path = self._package / f"{generator}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)


def _compile(root: Path, package: Path, compilers: dict[str, str]) -> None:
    import numpy

    prefix = Path(sys.prefix)
    headers = [root, prefix / "include", Path(sysconfig.get_paths()["include"]), Path(numpy.get_include())]
    headers += [path for path in (prefix / "include").iterdir() if path.is_dir()]
    include = [part for path in headers for part in ("-I", str(path))]
    sources = [path for suffix in compilers for path in sorted(package.rglob(f"*{suffix}"))]
    objects = []
    for source in sources:
        made = source.with_name(source.name + ".o")
        _run([compilers[source.suffix], "-O1", "-w", "-fPIC", "-c", str(source), "-o", str(made), *include])
        objects.append(str(made))
    libraries = [prefix / "lib" / f"lib{needed}__{kind}.so" for needed in NEEDED for kind in KINDS]
    libraries += [prefix / "lib" / f"lib{name}.so" for name in RUNTIME]
    module = package / f"{PACKAGE}_s__{TYPESUPPORT}{sysconfig.get_config_var('EXT_SUFFIX')}"
    here = [*map(str, libraries), f"-Wl,-rpath,{prefix / 'lib'}"]
    _run([compilers[".cpp"], "-shared", "-o", str(module), *objects, *here])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:300])
        raise ConfigError(f"{Path(command[0]).name} failed: {first}")


def _try_out(root: Path) -> None:
    """Load the message in a process of its own, and see that its type is the one that others speak."""
    program = (
        "import rclpy\n"
        "from rclpy.type_support import check_for_type_support\n"
        "from tf2_msgs.msg import TFMessage\n"
        "check_for_type_support(TFMessage)\n"
    )
    environment = ros_environment()
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigError(f"the message that was built does not load: {last}")


def main() -> int:
    """Build where it is missing; a failure is told, and no reason to stop: camera poses can be parameters."""
    if not wheels_installed() or importlib.util.find_spec(PACKAGE) is not None:
        return 0
    try:
        build(Path(sysconfig.get_paths()["platlib"]))
    except (MaskdexError, OSError) as error:
        sys.stderr.write(
            f"maskdex: tf2_msgs was not built ({error}); tf is not heard, camera poses come from parameters\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
