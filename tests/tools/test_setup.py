"""Setting up: where packages come from, what is done when uv cannot, and what Ctrl-C leaves."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from souk.testing.system import until

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import setup  # noqa: E402 - the module of tools

RUNS = "setup._run(sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)')"


def test_ctrl_c_ends_what_runs_and_shows_no_traceback() -> None:
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import setup; setup.main = lambda: {RUNS}; setup.run()"
    with subprocess.Popen((sys.executable, "-c", program), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert said.decode().strip() == "set-up was stopped; the next `make setup` begins anew"
    until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "what it started has ended")


def test_uv_is_given_what_pip_is_set_to(tmp_path: Path) -> None:
    listed = f"""
global.index-url='https://mirror.test/simple'
global.extra-index-url='https://one.test/simple\\nhttps://two.test/simple'
global.find-links='{tmp_path} {tmp_path}/missing https://wheels.test'
global.cert='/etc/authorities.pem'
global.disable-pip-version-check='true'
"""
    assert setup.settings_for_uv(listed) == {
        "UV_DEFAULT_INDEX": "https://mirror.test/simple",
        "UV_INDEX": "https://one.test/simple https://two.test/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": f"{tmp_path},https://wheels.test",
        "SSL_CERT_FILE": "/etc/authorities.pem",
    }


def test_a_variable_wins_over_a_file() -> None:
    listed = ":env:.index-url='https://variable.test'\nglobal.index-url='https://file.test'\n"
    assert setup.settings_for_uv(listed) == {"UV_DEFAULT_INDEX": "https://variable.test"}


@pytest.mark.parametrize(("fails", "installers"), [("", ["pip", "uv"]), ("uv", ["pip", "uv", "pip", "pip"])])
def test_pip_does_what_uv_cannot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: str, installers: Sequence[str]
) -> None:
    ran: list[list[str]] = []

    def run(*command: str | Path, more: object = None) -> None:
        ran.append([str(word) for word in command])
        if Path(command[0]).name == fails:
            raise subprocess.CalledProcessError(2, ran[-1])

    monkeypatch.setattr(setup, "_run", run)
    monkeypatch.setattr(setup, "_make_venv", lambda: True)
    monkeypatch.setattr(setup, "_output_of_pip", lambda *words: "")
    setup._install("dev")
    assert ["uv" if Path(words[0]).name == "uv" else words[2] for words in ran] == installers
    assert ran[-1].count("-e") == len(setup.distributions())
    assert f"{setup.ROOT}[dev]" in ran[-1]
    assert ("uv did not install it" in capsys.readouterr().out) == bool(fails)


def test_a_set_up_that_failed_leaves_no_stamp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def install(kind: str) -> None:
        raise subprocess.CalledProcessError(2, ["pip", "install"])

    monkeypatch.setattr(setup, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(setup, "_install", install)
    assert setup._set_up("dev") == 1
    assert capsys.readouterr().err.startswith("set-up failed: pip ended with 2; its own lines above say why")
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(setup, "_install", lambda kind: None)
    assert setup._set_up("dev") == 0
    assert setup.STAMP.read_text() == f"dev {setup.digest()}"
