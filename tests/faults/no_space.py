"""The switch of ``no_space.c``: which writing call below a directory fails, or is where the process group is killed."""

from __future__ import annotations

import enum
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SWITCH = struct.Struct("qqq1024s1024s")


class Mode(enum.IntEnum):
    """What happens at the call."""

    COUNT = 0  #: nothing
    FROM = 1  #: it fails, and so do all later ones: the disk is full
    ONLY = 2  #: it alone fails
    KILL = 3  #: SIGKILL to the whole process group


class Switch:
    """A fault to come, in a file that the processes share; ``at`` is the number of the call, from 1."""

    def __init__(self, file: Path, root: Path, mode: Mode, at: int = 0) -> None:
        self.file = file
        file.write_bytes(_SWITCH.pack(0, at, mode, str(root).encode(), b""))

    @property
    def calls(self) -> int:
        """How many there were."""
        return int(_SWITCH.unpack(self.file.read_bytes())[0])

    @property
    def listed(self) -> list[str]:
        """Each call and its path, in order, where they are only counted."""
        return Path(f"{self.file}.calls").read_text().splitlines()

    @property
    def met(self) -> str:
        """The call that met its fate, and its path; empty if it was not reached."""
        return str(_SWITCH.unpack(self.file.read_bytes())[4].rstrip(b"\0").decode())


def compiled(folder: Path) -> Path:
    """The library to preload."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is not installed (apt-get install gcc libc6-dev)")
    library = folder / "no_space.so"
    source = Path(__file__).with_name("no_space.c")
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
