"""Completion as people have it: installed by the program, in shells that run, at the press of the tabulator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

INTERACTIVE = {"bash": "bash -i", "zsh": "zsh -i", "fish": "fish -i"}
SCREEN = re.compile(r"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>]|[\r\x07]")


class Terminal:
    """A shell on a terminal of its own, which is typed into."""

    def __init__(self, shell: str, home: Path) -> None:
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            ["script", "--quiet", "--flush", "--return", "--command", INTERACTIVE[shell], "/dev/null"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while some := self.process.stdout.read1(4096):
            self._seen += some

    @property
    def screen(self) -> str:
        return SCREEN.sub("", bytes(self._seen).decode("utf-8", "replace"))

    def type(self, keys: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(keys.encode())
        self.process.stdin.flush()

    def shows(self, wanted: str, seconds: float) -> bool:
        """Wait for a text."""
        end = time.monotonic() + seconds
        while wanted not in self.screen and time.monotonic() < end:
            time.sleep(0.05)
        return wanted in self.screen

    def completes(self, typed: str, wanted: str) -> bool:
        """Press the tabulator behind a text until another one is there; begin anew where a slow machine made something else of it."""
        for seconds in (3, 5, 10, 20):
            self.forget()
            self.type(f"{typed}\t")
            if self.shows(wanted, seconds):
                return True
            # zsh only learns at the first press what the second one does
            self.type("\t")
            if self.shows(wanted, seconds):
                return True
        return False

    def forget(self) -> None:
        """Drop what is on the screen and in the line."""
        self.type("\x03")
        time.sleep(0.5)
        self._seen.clear()

    def close(self) -> None:
        self.process.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_tabulator(shell, tmp_path):
    for needed in (shell, "script"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    # it finds out which shell it is called from
    subprocess.run(
        [shell, "-c", f"{sys.executable} -m roitrace --install-completion; true"],
        env=os.environ | {"HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    (tmp_path / "quite_a_movie.tif").touch()
    terminal = Terminal(shell, tmp_path)
    try:
        terminal.type("echo rea''dy\n")
        assert terminal.shows("ready", 40), terminal.screen
        for typed, wanted in (
            ("roitrace extr", "roitrace extract"),
            ("roitrace run job.yaml --log-f", "--log-file"),
            ("roitrace init qui", "quickstart"),
            ("roitrace run job.yaml --set recording.pa", "recording.path="),
            ("roitrace info quite", "quite_a_movie.tif"),
        ):
            assert terminal.completes(typed, wanted), f"{wanted!r} is not on the screen: {terminal.screen!r}"
    finally:
        terminal.close()
