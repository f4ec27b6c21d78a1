"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

HEAVY = (
    "astropy", "pandas", "numba", "lightkurve", "scipy", "dask", "intake", "bokeh", "holoviews", "sqlalchemy", "numpy",
    "pyarrow",
)  # fmt: skip


def tracked(repository: Path, *patterns: str) -> list[Path]:
    """Files that are, or could be, committed."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(listing, cwd=repository, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := repository / name).is_file()]


@pytest.mark.parametrize("door", ["import tomoe_explore", "from tomoe_explore.cli import app; app(['--help'])"])
def test_the_door_is_light(repository: Path, door: str) -> None:
    """What opens in a fraction of a second does so because nothing heavy is imported."""
    code = f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules])); {door}"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_the_door_gives_what_it_promises() -> None:
    import tomoe_explore

    assert set(tomoe_explore.__all__) <= set(dir(tomoe_explore))
    for name in tomoe_explore.__all__:
        assert getattr(tomoe_explore, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tomoe_explore.no_such_name


def test_files_are_short_and_named_for_what_they_do(repository: Path) -> None:
    for path in tracked(repository, "*.py"):
        assert path.name not in {"utils.py", "helpers.py", "core.py"}, path
        assert len(path.read_text().splitlines()) <= 400, f"{path} is longer than 400 lines"


def test_functions_are_short_and_take_few_arguments(repository: Path) -> None:
    for path in tracked(repository, "tomoe_explore/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                positional = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")]
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"
                assert len(positional) <= 6, f"{path}: {node.name} takes {positional}"


def test_nothing_names_this_machine(repository: Path) -> None:
    here = re.compile("|".join([re.escape(f"{Path.home()}/"), "/" + "work/", "/tmp/" + r"\w+/"]))
    for path in tracked(repository):
        if path.suffix in {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".ipynb", ".cfg"} or path.name == "Makefile":
            for number, line in enumerate(path.read_text().splitlines(), 1):
                assert not here.search(line), f"{path}:{number}: {line}"


def test_lock_has_every_dependency_with_a_hash_and_no_host(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    lock = (repository / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)", lock, flags=re.MULTILINE))
    assert "://" not in lock
    requirements = re.findall(r"^[a-z].*", lock, flags=re.MULTILINE)
    assert len(requirements) == len(re.findall(r"^[a-z].*\\\n    --hash=sha256:", lock, flags=re.MULTILINE))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    for text in [*project["project"]["dependencies"], *(r for rs in [*extras, *groups] for r in rs)]:
        wanted = Requirement(text)
        assert wanted.name in pins, f"{text} is not in requirements.txt: make lock"
        assert wanted.specifier.contains(pins[wanted.name], prereleases=True), f"{text}: {pins[wanted.name]} is locked"


def test_conda_and_binder_have_the_same_environment(repository: Path) -> None:
    root = yaml.safe_load((repository / "environment.yml").read_text())
    assert root == yaml.safe_load((repository / "binder" / "environment.yml").read_text())
    assert os.access(repository / "binder" / "postBuild", os.X_OK)


def test_binder_accepts_the_repository(repository: Path) -> None:
    repo2docker = Path(sys.executable).with_name("jupyter-repo2docker")
    command = [str(repo2docker), "--no-build", "--debug", "--user-id", "1000", "--user-name", "reader", str(repository)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "binder/postBuild" in done.stdout + done.stderr


def test_notebooks_have_a_kernel_and_no_outputs(repository: Path) -> None:
    notebooks = tracked(repository, "*.ipynb")
    assert notebooks
    for path in notebooks:
        notebook = json.loads(path.read_text())
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", path
        for cell in notebook["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), f"{path}: outputs are not stripped"


def test_readme_points_at_files_that_exist(repository: Path) -> None:
    text = (repository / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    for link in links:
        assert (repository / link).exists(), f"README.md points at {link}"


@pytest.mark.timeout(120)
def test_a_copy_without_git_builds_a_complete_wheel(repository: Path, tmp_path: Path) -> None:
    import zipfile

    source = tmp_path / "source"
    for path in tracked(repository, "tomoe_explore", "pyproject.toml", "README.md", "LICENSE", "catalogs"):
        target = source / path.relative_to(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "tomoe_explore/py.typed" in names
    assert {n for n in names if n.startswith("tomoe_explore/") and not n.endswith(".typed")} >= {
        str(p.relative_to(repository)) for p in tracked(repository, "tomoe_explore/*.py", "tomoe_explore/*.yaml")
    }
