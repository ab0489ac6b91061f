"""People's pages for ROS 2: what they quote, name and link to is there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from maskdex_ros.parameters import table

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = [
    CHECKOUT / "docs" / name for name in ("real_arm.md", "troubleshooting.md", "ros_interface.md", "parameters.md")
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
FOLDERS = ("config/", "launch/", "urdf/", "docs/", "scripts/")


@functools.cache
def spoken() -> str:
    """Every text in the code, f-strings with … for what is filled in."""
    found = []
    for folder in ("maskdex_core", "maskdex_ros"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def quoted_sentences() -> list[str]:
    """What the tables of the troubleshooting page say that the node says."""
    sentences, ours = [], False
    for line in PAGES[1].read_text(encoding="utf-8").splitlines():
        if line.startswith("| the node says") or line.startswith("| symptom"):
            ours = line.startswith("| the node says")
        elif ours and line.startswith("| ") and (quote := re.match(r"\| `([^`]+)`", line)):
            sentences.append(quote[1])
    return sentences


@pytest.mark.parametrize("sentence", quoted_sentences())
def test_the_node_says_what_the_page_says_it_says(sentence: str) -> None:
    pieces = [piece.strip() for piece in sentence.split("…") if len(piece.strip()) > 5]
    assert pieces
    if sentence.endswith(": not accepting work"):
        pieces = [": not accepting work"]
    for piece in pieces:
        assert piece in spoken(), piece


def test_the_page_quotes_the_node() -> None:
    assert len(quoted_sentences()) >= 10


def test_every_fault_of_the_reliability_page_has_its_test() -> None:
    page = (CHECKOUT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| ([^|]*) \|$", page, re.M)
    named = [name for row in rows for name in re.findall(r"`(\w+(?:\.py)?)`", row)]
    assert len(named) >= 10
    tests = {path.name: path.read_text(encoding="utf-8") for path in (CHECKOUT / "test").glob("test_*.py")}
    for name in named:
        assert name in tests or any(re.search(rf"def test_\w*{name}", text) for text in tests.values()), name


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`([\w./<>*]+)`", page.read_text(encoding="utf-8")):
        if name.startswith(FOLDERS) and not name.endswith("/"):
            pattern = re.sub(r"<\w+>", "*", name)
            assert list(CHECKOUT.glob(pattern)), name


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@each_page
def test_launch_files_arguments_and_parameters_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    sources = {path.name: path.read_text(encoding="utf-8") for path in (CHECKOUT / "launch").glob("*.launch.py")}
    known = {name for name, *_ in table()}
    for launch, arguments in re.findall(r"ros2 launch maskdex_ros (\S+)((?: \w+:=\S+)*)", text):
        assert all(f'"{name}"' in sources[launch] for name in re.findall(r"(\w+):=", arguments)), (launch, arguments)
    for name in re.findall(r"ros2 param set /maskdex (\S+)", text):
        assert name in known
    for service in re.findall(r"ros2 service call /maskdex/(\w+)", text):
        assert f"`~/{service}`" in PAGES[2].read_text(encoding="utf-8")
