"""What all tests share: the real data, Debian's tools, and one small reduced night."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest_plugins = ["tests.databases", "tests.telling"]
#: Alembic runs it, nobody imports it.
collect_ignore = ["tomoe_explore/archive/migrations/env.py"]

ROOT = Path(__file__).resolve().parent
IN_CI = bool(os.environ.get("CI"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of the fault suite is run."""
    parser.addoption("--faults", default="4", metavar="N|all", help="how many faults of each kind tests/faults tries")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the repository; the test is skipped where it is absent."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"no real data at {data}")
    return data


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of a Debian tool (``fitsverify``, ``stilts``, ``chromium``); the test is skipped without it."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed (apt-get install {name})")
        return path

    return find


@pytest.fixture
def part(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of ``benchmarks/parts`` as the scripts do, which lie beside that folder."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    return lambda name: importlib.import_module(f"parts.{name}")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small night: raw films and truth in ``raw``, reduced into ``archive``. Tests may add to it."""
    from tomoe_explore.archive import Archive
    from tomoe_explore.operations.reduce import reduce
    from tomoe_explore.simulate import simulate

    folder = tmp_path_factory.mktemp("demo")
    night = simulate(folder / "raw", detectors=[111], exposures=3, frames=18, seed=1, progress=False)
    run = reduce(night.out, Archive.create(folder / "archive"), night.refcat, progress=False)
    assert not run.failed, run
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In continuous integration nothing is skipped for lack of a tool or of data: it has failed."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which continuous integration does not allow: {report.longrepr}"
    return report


GAIA_SPARSE = "gaia_dr2_ra309-318_dec-16--8_g16.parquet"


@pytest.fixture(scope="session")
def gaia_night(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw films of three exposures of one detector, their dark and flat, on real Gaia positions; with truth."""
    from tomoe_explore.simulate import simulate

    out = tmp_path_factory.mktemp("gaia-night")
    stars = shared_data / "stars" / GAIA_SPARSE
    simulate(out, detectors=(111,), exposures=3, frames=18, seed=3, stars=stars, progress=False)
    return out


@pytest.fixture(scope="session")
def small_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw films of two short exposures of detector 112, their dark and flat, on a synthetic sky; with refcat."""
    from tomoe_explore.simulate import simulate

    out = tmp_path_factory.mktemp("small-night")
    simulate(out, detectors=(112,), exposures=2, frames=8, seed=1, progress=False)
    return out


@pytest.fixture(autouse=True)
def _demo_for_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, object]) -> None:
    """Gives the examples in the docstrings of views, archive and jobs the small reduced night to look at."""
    looks = (".views", ".archive.archive.Archive.", ".archive.images.Images.", ".operations.job.",
             ".analysis.depth.", ".analysis.completeness.")  # fmt: skip
    if isinstance(request.node, pytest.DoctestItem) and any(name in request.node.name for name in looks):
        import tomoe_explore as te

        demo = request.getfixturevalue("demo")
        doctest_namespace |= {"te": te, "archive": te.open_archive(demo / "archive"), "raw": demo / "raw"}
