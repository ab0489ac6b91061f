"""The object and the table as MoveIt's planning scene, and the object in the hand.

Poses are those of the shapes, in the base frame: `CollisionObject.pose` stays the identity, because not every
version of MoveIt reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from geometry_msgs.msg import Pose
    from moveit_msgs.msg import CollisionObject, PlanningScene

OBJECT, TABLE = "maskdex_object", "maskdex_table"
TABLE_REACH = 1.2  # [m] from the base to the table's edges: as far as the arm gets
TABLE_THICKNESS = 0.05  # [m]
# Half the side [m] of the square round the base that the table leaves out: the robot stands there.
STAND = 0.2


def scene_of(plan: Any, frame: str, held_by: str = "") -> PlanningScene:
    """Return the change of the planning scene that shows a plan's object and table.

    Args:
        plan: with `object_points` (M, 3) m in base and `scene.table_height` m.
        frame: the base frame.
        held_by: link that an object of an earlier plan is attached to; it is let go.
    """
    objects = [table_object(float(plan.scene.table_height), frame), hull_object(plan.object_points, frame)]
    change = _empty_change()
    change.world.collision_objects = objects
    if held_by:
        change.robot_state.attached_collision_objects = [_attached(held_by, (), remove=True)]
    return change


def attach(tip_frame: str, touch_links: Sequence[str]) -> PlanningScene:
    """Return the change that fixes the object to the hand, whose links may touch it."""
    change = _empty_change()
    change.robot_state.attached_collision_objects = [_attached(tip_frame, touch_links)]
    return change


def hull_object(points: NDArray[np.floating], frame: str) -> CollisionObject:
    """Return the convex hull of (M, 3) points as the object.

    The hull fills handles and bowls. That is what a way past the object should avoid; the ways into it, approach
    and close, are ours and checked against the points themselves.
    """
    from geometry_msgs.msg import Point
    from scipy.spatial import ConvexHull
    from shape_msgs.msg import Mesh, MeshTriangle

    hull = ConvexHull(np.asarray(points, dtype=np.float64))
    corners = hull.points[hull.vertices]
    number = {int(vertex): index for index, vertex in enumerate(hull.vertices)}
    triangles = [_outward(hull, row) for row in range(len(hull.simplices))]
    mesh = Mesh(
        vertices=[Point(x=x, y=y, z=z) for x, y, z in corners.tolist()],
        triangles=[
            MeshTriangle(vertex_indices=np.array([number[int(v)] for v in corner], dtype=np.uint32))
            for corner in triangles
        ],
    )
    return _added(OBJECT, frame, meshes=[mesh], mesh_poses=[_pose((0.0, 0.0, 0.0))])


def table_object(height: float, frame: str) -> CollisionObject:
    """Return the table as four boxes round the base, their tops at `height` (m)."""
    from shape_msgs.msg import SolidPrimitive

    z = height - TABLE_THICKNESS / 2.0
    long, short = 2.0 * TABLE_REACH, TABLE_REACH - STAND
    middle = (TABLE_REACH + STAND) / 2.0
    places = {
        (middle, 0.0): (short, long),
        (-middle, 0.0): (short, long),
        (0.0, middle): (2.0 * STAND, short),
        (0.0, -middle): (2.0 * STAND, short),
    }
    boxes = [
        SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[length, width, TABLE_THICKNESS])
        for length, width in places.values()
    ]
    return _added(TABLE, frame, primitives=boxes, primitive_poses=[_pose((x, y, z)) for x, y in places])


def _outward(hull: Any, row: int) -> list[int]:
    """Return a facet's corners so that its normal points outward, as renderers expect."""
    corners = hull.simplices[row]
    one, two, three = hull.points[corners]
    turned = np.dot(np.cross(two - one, three - one), hull.equations[row, :3]) < 0
    return [int(v) for v in (corners[::-1] if turned else corners)]


def _added(name: str, frame: str, **shapes: Any) -> CollisionObject:
    from moveit_msgs.msg import CollisionObject
    from std_msgs.msg import Header

    return CollisionObject(header=Header(frame_id=frame), id=name, operation=CollisionObject.ADD, **shapes)


def _attached(link: str, touch_links: Sequence[str], remove: bool = False) -> Any:
    # Without shapes of its own, the object of that name moves from the world to the link, or back.
    from moveit_msgs.msg import AttachedCollisionObject, CollisionObject

    operation = CollisionObject.REMOVE if remove else CollisionObject.ADD
    named = CollisionObject(id=OBJECT, operation=operation)
    return AttachedCollisionObject(link_name=link, object=named, touch_links=list(touch_links))


def _empty_change() -> PlanningScene:
    from moveit_msgs.msg import PlanningScene

    change = PlanningScene(is_diff=True)
    change.robot_state.is_diff = True
    return change


def _pose(position: tuple[float, float, float]) -> Pose:
    from geometry_msgs.msg import Point, Pose

    x, y, z = position
    return Pose(position=Point(x=x, y=y, z=z))
