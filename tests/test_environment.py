"""The version of the code: commit and uncommitted changes of a checkout, plain version elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tomoe_explore import environment as module


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "code", module.code.__wrapped__)


def git(where: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(where), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_says_its_commit_and_its_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path.resolve() / "tomoe_explore"
    package.mkdir(parents=True)
    (package / "environment.py").write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    monkeypatch.setattr(module, "__file__", str(package / "environment.py"))
    clean = module.code()
    assert clean.version.endswith(f"+g{git(tmp_path, 'rev-parse', '--short=12', 'HEAD')}")
    assert not clean.dirty
    (tmp_path / "notes.txt").write_text("outside the package")
    assert not module.code().dirty
    (package / "environment.py").write_text("two")
    assert module.code().dirty


def test_an_installed_package_inside_another_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path.resolve() / "venv" / "tomoe_explore"
    package.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(module, "__file__", str(package / "environment.py"))
    assert module.code() == module.Code(module.package_version("tomoe-explore") or "", False)
