"""`maskdex bench-retarget`: how well Shadow grasps come over to other hands."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from tyro.conf import arg

from maskdex_core.cli.common import TorchCommand, print_json, say
from maskdex_core.errors import UsageError

SIZE = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchRetarget(TorchCommand):
    """Retarget a fixed set of 100 Shadow grasps: fingertip errors, times, and what each hand then holds.

    Where dex-retargeting is installed it is measured on the same grasps in the same run.
    """

    hands: Annotated[tuple[str, ...], arg(metavar="HAND ...")] = ()
    """Target hands: known names or YAML files; all known hands but the Shadow with free joints by default."""
    hold: int = 0
    """Hold so many of the grasps in simulation (FC6), 0 to 100; a second each."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        if not 0 <= self.hold <= SIZE:
            raise UsageError(f"--hold {self.hold} is out of range; expected 0 to {SIZE}")
        self.set_threads()
        from maskdex_core.hands import HandModel, known_hands
        from maskdex_core.metrics.dex_retargeting_peer import peer_is_here, peer_row
        from maskdex_core.metrics.retargeting import benchmark_grasps, fingertip_row, hold_row, table

        names = self.hands or tuple(name for name in known_hands() if name != "shadow")
        models = [HandModel.load(name) for name in names]
        grasps = benchmark_grasps()
        tips, holds = [], []
        for hand in models:
            say(f"{hand.name}: fingertips")
            tips.append(fingertip_row(hand, grasps))
            if peer_is_here():
                tips.append(peer_row(hand, grasps))
        for hand in models if self.hold else []:
            say(f"{hand.name}: {self.hold} grasps in simulation")
            holds.append(hold_row(hand, grasps, self.hold))
        if self.json:
            print_json(
                {key: [dataclasses.asdict(row) for row in rows] for key, rows in (("tips", tips), ("holds", holds))}
            )
        else:
            print(table(tips, holds))
        return 0
