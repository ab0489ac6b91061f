"""The README's example runs as it stands, and names only commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from maskdex_core.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code.group(1), "README.md", "exec"), names)
    assert len(names["grasps"]) == 16
    assert (tmp_path / "out" / "mug" / "plan.png").stat().st_size > 10_000
    assert capsys.readouterr().out.count("\n") >= 2


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`maskdex (\w+)", README))))
def test_every_command_named_exists(command: str) -> None:
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main([command, "--help"]))
    assert stop.value.code == 0


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert missing == []
