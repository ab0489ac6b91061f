"""What every command does around its work: an error is one line and its exit code, never a traceback."""

from __future__ import annotations

import pytest

from maskdex_core.errors import CloudError, UsageError
from maskdex_ros.command import INTERRUPTED, run_command, write_line


def raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize("code", [0, 4])
def test_the_works_own_exit_code_is_the_commands(code: int) -> None:
    assert run_command(lambda: code) == code


@pytest.mark.parametrize("error", [UsageError("--rate 0 is\n  not valid"), CloudError("bag 'x'\n  not valid")])
def test_an_error_is_one_line_and_its_exit_code(error: UsageError, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: raises(error)) == error.exit_code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: {' '.join(str(error).split())}\n"


def test_ctrl_c_ends_with_the_shells_code_and_without_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: raises(KeyboardInterrupt())) == INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_what_nobody_foresaw_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: raises(ZeroDivisionError()))


def test_a_line_goes_out_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    write_line("ready")
    assert capsys.readouterr().out == "ready\n"
