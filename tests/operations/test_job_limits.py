"""What jobs may use: read from the archive, and refused where it makes no sense."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tomoe_explore.archive import Archive
from tomoe_explore.errors import ParameterError
from tomoe_explore.operations.job_limits import JobLimits


def test_those_of_an_archive(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive")
    assert JobLimits.of(archive) == JobLimits(workers=len(os.sched_getaffinity(0)))
    archive.layout.limits.write_text('{"workers": 7, "disk_free_gb": 0}')
    assert JobLimits.of(archive) == JobLimits(workers=7, disk_free_gb=0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "limits.json cannot be read"), ("[1]", "expected names and numbers"),
        ('{"wokers": 2}', "unknown wokers; there are workers"), ('{"workers": 0}', "workers must be a number from 1"),
        ('{"workers": 1.5}', "workers must be"), ('{"memory_gb": 0.1}', "memory_gb must be a number from 2.0 on"),
        ('{"disk_free_gb": "ten"}', "disk_free_gb must be"), ('{"turn_minutes": true}', "turn_minutes must be"),
        ('{"turn_minutes": NaN}', "turn_minutes must be"), ('{"disk_free_gb": Infinity}', "disk_free_gb must be"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    archive = Archive.create(tmp_path / "archive")
    archive.layout.limits.write_text(text)
    with pytest.raises(ParameterError, match=complaint):
        JobLimits.of(archive)


def test_memory_sets_the_number_of_processes() -> None:
    assert JobLimits(workers=1000, memory_gb=1e9).slots == 1
    assert 1 < JobLimits(workers=1000, memory_gb=2).slots < 1000 or os.sysconf("SC_PHYS_PAGES") < 1e6


def test_room_on_the_disk(tmp_path: Path) -> None:
    assert JobLimits(disk_free_gb=0).short_of_disk(tmp_path) == ""
    assert "10000 GB must stay free" in JobLimits(disk_free_gb=10_000).short_of_disk(tmp_path)
