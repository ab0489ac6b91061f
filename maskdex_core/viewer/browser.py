"""A saved plan in a web browser: cloud, object, robot on its way, chosen hand and the other candidates."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import UsageError
from maskdex_core.planning.saved import SavedPlan
from maskdex_core.viewer.palette import (
    APPROACH,
    CLOUD,
    HAND,
    KINDS,
    OBJECT,
    ROBOT,
    Color,
    kind_of,
    opacity,
    touch_colors,
)
from maskdex_core.viewer.robot_meshes import RobotMeshes
from maskdex_core.viewer.timeline import Timeline

FRAME_TIME = 1 / 30  # s
WAY_IN = 0.08  # m, length of the approach arrow
# m: the camera looks at a point between robot and object, from this side
LOOKED_AT, SIDE = 0.7, (0.45, -0.95, 0.55)  # share of the way from the base to the object; from there


class PlanBrowser:
    """One viser server that shows one plan."""

    def __init__(self, plan: SavedPlan, host: str = "127.0.0.1", port: int = 8080, hand: str | None = None) -> None:
        """Build the scene and serve it.

        Args:
            plan: what is shown. host: address to serve on; the default lets only this machine in.
            port: TCP port; a free one is taken when it is in use.
            hand: name or YAML path of the plan's hand; None takes the name in the plan.

        Raises:
            RobotError, HandError, UsageError: when the plan names a robot or a trajectory that cannot be shown.
        """
        import viser

        self._plan, self._timeline = plan, Timeline.of(plan)
        self._robot = RobotMeshes.load(plan.report["arm"], hand or plan.report["target_hand"]["name"])
        _check_joints(plan, self._robot)
        self.server = viser.ViserServer(host=host, port=port, label="maskdex", verbose=False)
        middle = LOOKED_AT * plan.object_points.mean(axis=0).astype(np.float64) + (0.0, 0.0, 0.1)
        self.server.initial_camera.position, self.server.initial_camera.look_at = middle + SIDE, middle
        self._links: dict[str, Any] = {}
        self._layers: dict[str, list[Any]] = {"cloud": [], "object": [], "robot": [], "candidates": []}
        self._add_scene()
        self._add_robot()
        self._add_candidates()
        self._add_controls()
        self.show(self._timeline.grasp_time)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def show(self, seconds: float) -> None:
        """Put the robot where it is at a time of the trajectory."""
        from viser.transforms import SO3

        arm, hand = self._timeline.at(seconds)
        poses = {f"/arm/{name}": pose for name, pose in self._robot.arm_poses(arm).items()}
        palm = self._robot.palm_on_flange(arm)
        poses |= {f"/hand/{name}": pose for name, pose in self._robot.hand_poses(hand, palm).items()}
        with self.server.atomic():
            for name, handle in self._links.items():
                handle.position, handle.wxyz = poses[name][:3, 3], SO3.from_matrix(poses[name][:3, :3]).wxyz

    def run(self) -> None:
        """Serve until interrupted; play the motion while asked to."""
        while True:
            time.sleep(FRAME_TIME)
            if self._playing.value:
                later = self._slider.value + FRAME_TIME
                self._slider.value = later if later <= self._timeline.duration else 0.0

    def stop(self) -> None:
        """End the server."""
        self.server.stop()

    def _add_scene(self) -> None:
        scene, plan = self.server.scene, self._plan
        scene.set_up_direction("+z")
        scene.add_frame("/base", axes_length=0.1, axes_radius=0.004)
        scene.add_grid("/table", 4.0, 4.0, cell_size=0.1, position=(0.0, 0.0, plan.table_height))
        cloud = scene.add_point_cloud("/cloud", plan.cloud, _bytes(CLOUD), point_size=0.003, precision="float32")
        colors = _bytes(OBJECT) if plan.touch is None else touch_colors(plan.touch)
        seen = scene.add_point_cloud("/object", plan.object_points, colors, point_size=0.003, precision="float32")
        self._layers["cloud"].append(cloud)
        self._layers["object"].append(seen)

    def _add_robot(self) -> None:
        for group, meshes, color in (("arm", self._robot.arm_meshes, ROBOT), ("hand", self._robot.hand_meshes, HAND)):
            for name, (vertices, faces) in meshes.items():
                handle = self._add_mesh(f"/{group}/{name}", vertices, faces, color, None)
                self._links[f"/{group}/{name}"] = handle
                self._layers["robot"].append(handle)

    def _add_candidates(self) -> None:
        plan, chosen = self._plan, self._plan.report.get("chosen", 0)
        best = max(candidate["confidence"] for candidate in plan.report["candidates"])
        for index, candidate in enumerate(plan.report["candidates"]):
            if index == chosen and plan.report["status"] == "ok":
                self._add_arrow(index)
                continue  # the robot's own hand shows it
            kind = kind_of(candidate["verdict"], candidate["reason"])
            vertices, faces = self._robot.posed_hand(plan.joints[index], plan.palm_poses[index])
            share = 1.0 if index == chosen else opacity(candidate["confidence"], best)
            handle = self._add_mesh(f"/candidates/{index}", vertices, faces, KINDS[kind], share)
            self._layers["candidates"].append(handle)

    def _add_arrow(self, index: int) -> None:
        palm = self._plan.palm_poses[index][:3, 3]
        ends = np.stack((palm - WAY_IN * self._plan.approaches[index], palm))[None]
        self.server.scene.add_arrows(
            "/approach", ends, _bytes(APPROACH), shaft_radius=0.003, head_radius=0.008, head_length=0.02
        )

    def _add_mesh(
        self, name: str, vertices: NDArray[np.float32], faces: NDArray[np.int64], color: Color, share: float | None
    ) -> Any:
        return self.server.scene.add_mesh_simple(
            name, vertices, faces, color=_bytes(color), opacity=share, flat_shading=True, cast_shadow=share is None
        )

    def _add_controls(self) -> None:
        gui, end = self.server.gui, self._timeline.duration
        gui.set_panel_label("maskdex")
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.add_markdown(summary(self._plan))
        moves = end > 0.0
        self._playing = gui.add_checkbox("play", False, visible=moves)
        self._slider = gui.add_slider("time [s]", 0.0, max(end, 0.01), 0.01, self._timeline.grasp_time, visible=moves)
        self._slider.on_update(lambda _: self.show(self._slider.value))
        for layer, handles in self._layers.items():
            self._add_switch(layer, handles)

    def _add_switch(self, layer: str, handles: list[Any]) -> None:
        box = self.server.gui.add_checkbox(layer, True)

        @box.on_update
        def _(_: Any) -> None:
            for handle in handles:
                handle.visible = box.value


def summary(plan: SavedPlan) -> str:
    """Return the words of the panel, in Markdown: task, verdict, and the candidates by kind of reason."""
    report = plan.report
    kinds = Counter(kind_of(candidate["verdict"], candidate["reason"]) for candidate in report["candidates"])
    lines = [
        f"**{_plain(report['text'])}**",
        "",
        f"{report['target_hand']['name']} on {report['arm']}: {report['status']}",
    ]
    if report["reason"]:
        lines += ["", _plain(report["reason"])]
    lines += [""] + [f"- {count} {kind}" for kind, count in kinds.most_common()]
    return "\n".join(lines)


def _plain(words: str) -> str:
    """Return words that Markdown takes as they are: a task text is somebody's input."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|&$~" else letter for letter in words)


def _bytes(color: Color) -> tuple[int, int, int]:
    red, green, blue = (round(255 * share) for share in color)
    return red, green, blue


def _check_joints(plan: SavedPlan, robot: RobotMeshes) -> None:
    """A plan folder may come from elsewhere: its joints must be those of the robot it names."""
    wanted = {"arm_start": len(robot.arm.joint_names), "hand_start": len(robot.hand.joint_names)}
    found = {"arm_start": len(plan.arm_start), "hand_start": len(plan.hand_start)}
    if wanted != found or plan.joints.shape[1] != wanted["hand_start"]:
        raise UsageError(
            f"the plan has {found['arm_start']} arm and {found['hand_start']} hand joints; {robot.arm.config.name} has "
            f"{wanted['arm_start']} and {robot.hand.name} {wanted['hand_start']}"
        )
