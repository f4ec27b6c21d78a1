"""Which code and which libraries made a product."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

#: Packages whose version may change a result.
PACKAGES = ("numpy", "scipy", "numba", "astropy", "pyarrow", "hpgeom", "nifty-ls", "lightkurve")


@dataclass(frozen=True)
class Code:
    """The version of this package.

    Attributes
    ----------
    version : str
        Of the package; in a git checkout with the commit, as ``0.1.dev4+g1a2b3c4d5e6f``.
    dirty : bool
        Whether the checkout has uncommitted changes.
    """

    version: str
    dirty: bool


@cache
def code() -> Code:
    """The version of the running code.

    Examples
    --------
    >>> isinstance(code().dirty, bool)
    True
    """
    version = package_version("tomoe-explore") or "unknown"
    root = Path(__file__).resolve().parents[1]
    # an installed package may lie inside some other project's checkout: only its own counts
    if _git(root, "rev-parse", "--show-toplevel") != str(root):
        return Code(version, False)
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", "tomoe_explore")
    return Code(f"{version.partition('+')[0]}+g{commit}" if commit else version, bool(changes))


def environment() -> dict[str, str]:
    """Python, machine and library versions, by name.

    Examples
    --------
    >>> sorted(environment())[:3]
    ['astropy', 'hpgeom', 'lightkurve']
    """
    versions = {name: package_version(name) or "absent" for name in PACKAGES}
    return {"python": platform.python_version(), "platform": platform.platform(), **versions}


@cache
def package_version(name: str) -> str | None:
    """Installed version of a distribution; None if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None where there is no git, or no checkout."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
