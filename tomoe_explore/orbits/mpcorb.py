"""Orbits from a file in the Minor Planet Center's format: ``MPCORB.DAT``, or any part of it, plain or ``.gz``."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.errors import OrbitsError

#: What is read of a line: name, and columns from 0.
_FIELDS = {
    "mean": (26, 35), "peri": (37, 46), "node": (48, 57), "incl": (59, 68), "e": (70, 79), "a": (92, 103),
}  # fmt: skip
_CHUNK = 50_000
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_Part = tuple[NDArray[np.bytes_], NDArray[np.float64], NDArray[np.float32], list[str]]
_ORDER = "ABCDEFGHJKLMNOPQRSTUVWXYZ"  # of the second letter of a provisional designation: no I

#: Uncertainty parameter ``U``: the most that the object may run off in ten years, arcsec at 1 au.
_RUNOFF = np.array([1.0, 4.4, 20, 86, 382, 1_700, 7_500, 33_000, 150_000, 150_000])


@dataclass(frozen=True, repr=False)
class Orbits:
    """Orbits of known objects.

    Attributes
    ----------
    packed : ndarray of bytes, (n,)
        Designations as in the file; `name` unpacks one.
    elements : ndarray of float64, (n, 7)
        Epoch (MJD, TT), mean anomaly, argument of perihelion, node, inclination (rad, ecliptic of J2000), eccentricity,
        semi-major axis (au).
    runoff : ndarray of float32, (n,)
        How far an object may run off what the orbit says, arcsec a day at 1 au; 0 where the file does not say.
    source : str
        Name of the file.
    damaged : tuple of str
        Lines that cannot be used: their number and why.
    """

    packed: NDArray[np.bytes_]
    elements: NDArray[np.float64]
    runoff: NDArray[np.float32]
    source: str = ""
    damaged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.packed)

    def __repr__(self) -> str:
        lines = [f"{len(self)} orbits of {self.source or 'no file'}"]
        return "\n".join([*lines, *(f"  damaged: {text}" for text in self.damaged[:5])])

    def name(self, index: int) -> str:
        """Designation of an orbit, unpacked."""
        return unpack(self.packed[index].decode("ascii", "replace").strip())


def read_orbits(path: str | Path) -> Orbits:
    """Read orbits.

    Parameters
    ----------
    path : str or Path
        In the format of ``MPCORB.DAT``, with its heading or without; ``.gz`` is unpacked.

    Returns
    -------
    Orbits
        Without the lines that are damaged, and orbits that are not ellipses; both are named in ``damaged``.

    Raises
    ------
    OrbitsError
        If there is no such file, or it has no orbit.

    Notes
    -----
    https://minorplanetcenter.net/iau/info/MPOrbitFormat.html
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            parts = [_parse(numbers, lines) for numbers, lines in _chunks(file)]
    except (OSError, EOFError) as error:
        raise OrbitsError(f"cannot read orbits (MPCORB format) from {path}: {error}") from None
    damaged = tuple(text for _, _, _, some in parts for text in some)
    if not sum(len(packed) for packed, _, _, _ in parts):
        first = f"; line {damaged[0]}" if damaged else ""
        raise OrbitsError(f"{path} has no orbit in the format of MPCORB.DAT (202 columns a line){first}")
    packed, elements, runoff = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return Orbits(packed, elements, runoff, path.name, damaged)


def _chunks(file: Iterable[bytes]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Lines with an orbit, and their numbers from 1: all but empty ones and the heading, which ends with dashes."""
    numbered = enumerate(file, 1)
    head = list(islice(numbered, 200))
    dashes = next((n for n, line in head if line.startswith(b"-----")), 0)
    orbits = ((n, line.rstrip()) for n, line in chain(head[dashes:], numbered) if line.strip())
    while chunk := list(islice(orbits, _CHUNK)):
        yield [n for n, _ in chunk], [line for _, line in chunk]


def _parse(numbers: list[int], lines: list[bytes]) -> _Part:
    """Designations, elements, run-off, and the lines that are damaged."""
    try:
        elements = _elements(lines)
        good = np.ones(len(lines), bool)
    except ValueError:  # a line is damaged: look at each
        good = np.array([_is_whole(line) for line in lines])
        lines = [line for line, is_good in zip(lines, good, strict=True) if is_good]
        elements = _elements(lines)
    which = np.array(numbers)
    damaged = [f"{n}: no number where an element of the orbit must be" for n in which[~good]]
    which = which[good]
    closed = (elements[:, 5] < 1) & (elements[:, 5] >= 0) & (elements[:, 6] > 0) & np.isfinite(elements).all(axis=1)
    damaged += [f"{n}: no ellipse" for n in which[~closed]]
    packed = np.array([line[:7] for line in lines], dtype="S7")
    runoff = np.array([_runoff(line[105:106]) for line in lines], dtype=np.float32)
    return packed[closed], elements[closed], runoff[closed], damaged


def _is_whole(line: bytes) -> bool:
    try:
        _elements([line])
    except ValueError:
        return False
    return True


def _elements(lines: list[bytes]) -> NDArray[np.float64]:
    """Elements of lines; ValueError if one is not as it must be."""
    elements = np.empty((len(lines), 7))
    epochs: dict[bytes, float] = {}
    for line in lines:
        if line[20:25] not in epochs:
            epochs[line[20:25]] = epoch_mjd(line[20:25].decode("ascii"))
    elements[:, 0] = [epochs[line[20:25]] for line in lines]
    for k, (begin, end) in enumerate(_FIELDS.values(), 1):
        elements[:, k] = np.array([line[begin:end] for line in lines], dtype=f"S{end - begin}").astype(np.float64)
    elements[:, 1:5] = np.radians(elements[:, 1:5])
    return elements


def _runoff(u: bytes) -> float:
    """Arcsec a day at 1 au of an uncertainty parameter."""
    return float(_RUNOFF[int(u)]) / 3652.5 if u.isdigit() else 0.0


def epoch_mjd(packed: str) -> float:
    """MJD (TT) of a packed date.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> epoch_mjd("K205V")  # 2020 May 31
    59000.0
    """
    from datetime import date

    if len(packed) != 5 or packed[0] not in "IJKL":
        raise ValueError(f"expected a packed date such as K205V, got {packed!r}")
    year = 100 * _DIGITS.index(packed[0]) + int(packed[1:3])
    day = date(year, _DIGITS.index(packed[3]), _DIGITS.index(packed[4]))
    return float(day.toordinal() - date(1858, 11, 17).toordinal())


def unpack(packed: str) -> str:
    """A designation as people write it; one of no known form stays as it is.

    Examples
    --------
    >>> [unpack(text) for text in ("00433", "A0345", "~0000", "K12D14A", "K07Tf8A", "PLS2040", "_QC0000")]
    ['433', '100345', '620000', '2012 DA14', '2007 TA418', '2040 P-L', '2026 CA620']
    """
    try:
        if packed.isdigit():
            return str(int(packed))
        if len(packed) == 5 and packed[0] == "~":
            return str(620_000 + _number(packed[1:]))
        if len(packed) == 5 and packed[1:].isdigit():
            return str(10_000 * _DIGITS.index(packed[0]) + int(packed[1:]))
        if len(packed) == 7 and packed[2] == "S" and packed[:2] in ("PL", "T1", "T2", "T3"):
            return f"{int(packed[3:])} {packed[0]}-{packed[1]}"
        if len(packed) == 7 and packed[0] == "_":
            cycle, letter = divmod(_number(packed[3:]), len(_ORDER))
            return f"20{_DIGITS.index(packed[1])} {packed[2]}{_ORDER[letter]}{620 + cycle}"
        if len(packed) == 7 and packed[0] in "IJKL":
            cycle = 10 * _DIGITS.index(packed[4]) + int(packed[5])
            return f"{_DIGITS.index(packed[0])}{int(packed[1:3]):02d} {packed[3]}{packed[6]}{cycle or ''}"
    except ValueError:
        pass
    return packed


def _number(text: str) -> int:
    """A number of base 62."""
    value = 0
    for digit in text:
        value = 62 * value + _DIGITS.index(digit)
    return value
