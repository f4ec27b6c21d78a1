"""What a user may write for a position, a radius or a night, and what it means."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from tomoe_explore.errors import ParameterError

_POSITION_FORMS = (
    "'310.0513 -12.0014' (deg), '20 40 12.3 -12 00 05', '20:40:12.3 -12:00:05', '20h40m12.3s -12d00m05s', "
    "a SkyCoord or (ra, dec) in deg"
)
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_COORDINATE = re.compile(rf"^\s*({_NUMBER})\D*?(?:[\s:hmd°'′]+({_NUMBER}))?(?:[\s:m'′]+({_NUMBER}))?[\s:sd\"″°m'′h]*$")

#: An id is a 64-bit integer.
_LARGEST = 2**63 - 1

_ARCSEC = {
    "arcsec": 1.0, "arcsecond": 1.0, "arcseconds": 1.0, "as": 1.0, "s": 1.0, '"': 1.0, "″": 1.0, "''": 1.0,
    "arcmin": 60.0, "arcminute": 60.0, "arcminutes": 60.0, "am": 60.0, "'": 60.0, "′": 60.0,
    "deg": 3600.0, "degree": 3600.0, "degrees": 3600.0, "d": 3600.0, "°": 3600.0, "mas": 1e-3,
}  # fmt: skip


def parse_position(position: Any) -> tuple[float, float]:
    """Right ascension and declination (deg, ICRS) of a position in any usual form.

    Parameters
    ----------
    position : str, SkyCoord, or pair of float (deg) or Quantity
        Two numbers are degrees; sexagesimal right ascensions are hours.

    Raises
    ------
    ParameterError
        If it cannot be understood or lies outside the sky.

    Examples
    --------
    >>> parse_position("20 40 12.0 -12 00 36")
    (310.05, -12.01)
    >>> parse_position((310.05, -12.01))
    (310.05, -12.01)
    """
    if isinstance(position, str):
        ra, dec = _from_text(position)
    elif hasattr(position, "icrs"):
        ra, dec = _from_skycoord(position)
    else:
        try:
            ra, dec = (float(v.to_value("deg") if hasattr(v, "to_value") else v) for v in position)
        except (TypeError, ValueError):  # astropy's UnitConversionError is both
            raise ParameterError(f"position {position!r} is not understood; write {_POSITION_FORMS}") from None
    if not (-360.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise ParameterError(
            f"position {position!r} reads as RA {ra:g}, Dec {dec:g} deg: RA is 0 to 360 and Dec -90 to 90"
        )
    return ra % 360.0, dec


def _from_skycoord(position: Any) -> tuple[float, float]:
    if not position.isscalar:
        raise ParameterError(f"one position is expected, a SkyCoord of shape {position.shape} came")
    return float(position.icrs.ra.deg), float(position.icrs.dec.deg)


def _from_text(text: str) -> tuple[float, float]:
    halves = _halves(text.strip().replace("−", "-"))
    if halves is not None:
        (ra, ra_sexagesimal), (dec, _) = (_coordinate(half) for half in halves)
        if math.isfinite(ra) and math.isfinite(dec):
            return (round(ra * 15.0, 10) if ra_sexagesimal else ra), round(dec, 10)
    return _from_astropy(text)


def _halves(text: str) -> tuple[str, str] | None:
    """Split at a comma, else before the sign of the declination, else in the middle."""
    text = re.sub(r"^(?:icrs|j2000(?:\.0)?|fk5)\s+", "", text, flags=re.IGNORECASE)
    if text.count(",") == 1:
        first, second = text.split(",")
        return first, second
    signed = re.match(r"^(\s*[+-]?[^+-]*[^+\-\se])\s*([+-].*)$", text)
    if signed:
        return signed.group(1), signed.group(2)
    words = text.split()
    if len(words) in (2, 4, 6):
        return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
    return None


def _coordinate(text: str) -> tuple[float, bool]:
    """Value of one coordinate in its own unit, and whether it was sexagesimal or in hours; NaN if not understood."""
    text = text.strip()
    sign = -1.0 if text.startswith("-") else 1.0
    match = _COORDINATE.match(text.lstrip("+-"))
    if match is None:
        return math.nan, False
    parts = [float(part) for part in match.groups() if part is not None]
    if any(part >= 60.0 for part in parts[1:]) or re.search(r"[a-ce-gi-ln-rt-z]", text, re.IGNORECASE):
        return math.nan, False
    value = sum(part / 60.0**n for n, part in enumerate(parts))
    return sign * value, len(parts) > 1 or "h" in text


def _from_astropy(text: str) -> tuple[float, float]:
    """Forms that only astropy knows, such as ``J204012.3-120005``; it looks nothing up."""
    from astropy.coordinates import SkyCoord

    for options in ({}, {"unit": ("hourangle", "deg")}):
        try:
            return _from_skycoord(SkyCoord(text, **options))
        except Exception:  # astropy raises many kinds, its own and bare ones, for text that it cannot read
            continue
    raise ParameterError(
        f"position {text!r} is not understood; write {_POSITION_FORMS}. Names of objects are not looked up."
    )


def parse_radius(radius: Any) -> float:
    """A radius in degrees.

    Parameters
    ----------
    radius : str or Quantity
        Such as ``"3 arcsec"``, ``"15arcmin"``, ``"0.5 deg"`` or ``15 * u.arcmin``.

    Raises
    ------
    ParameterError
        If it has no unit or is not an angle of 0 to 180 deg.

    Examples
    --------
    >>> parse_radius("36 arcsec")
    0.01
    """
    if isinstance(radius, str):
        match = re.match(rf"^\s*({_NUMBER})\s*(\S+)\s*$", radius)
        scale = _ARCSEC.get(match.group(2).lower()) if match else None
        degrees = float(match.group(1)) * scale / 3600.0 if match and scale else math.nan
    elif hasattr(radius, "to_value"):
        try:
            degrees = float(radius.to_value("deg"))
        except Exception:  # astropy's UnitConversionError; astropy is not imported for its name
            degrees = math.nan
    else:
        degrees = math.nan
    if not 0.0 <= degrees <= 180.0:
        raise ParameterError(f"radius {radius!r} is not understood; write an angle with its unit, e.g. '3 arcsec'")
    return degrees


def parse_nights(night: Any) -> tuple[str, str]:
    """First and last night of ``"2020-08-14"`` or ``"2020-08-14:2020-08-20"``.

    Raises
    ------
    ParameterError
        If it is not a date, or the last is before the first.

    Examples
    --------
    >>> parse_nights("2020-08-14:2020-08-20")
    ('2020-08-14', '2020-08-20')
    """
    first, _, last = str(night).partition(":")
    nights = (first.strip(), last.strip() or first.strip())
    try:
        valid = all(date.fromisoformat(n).isoformat() == n for n in nights)
    except ValueError:
        valid = False
    if not valid or nights[1] < nights[0]:
        raise ParameterError(f"night {night!r} is not understood; write '2020-08-14' or '2020-08-14:2020-08-20'")
    return nights


def parse_whole(name: str, value: Any) -> int:
    """A whole number.

    Raises
    ------
    ParameterError
        If it is none, or larger than any that the archive holds.

    Examples
    --------
    >>> parse_whole("exposure_id", "357754"), parse_whole("frame", 3.0)
    (357754, 3)
    """
    try:
        number = int(value)
        whole = isinstance(value, str) or bool(number == value)
    except (TypeError, ValueError, OverflowError):
        number, whole = 0, False
    if not whole or abs(number) > _LARGEST:
        raise ParameterError(f"{name} {value!r} is not understood; write a whole number, at most {_LARGEST}")
    return number


def parse_ids(name: str, value: Any) -> list[int]:
    """One whole number or several; of none nothing is found.

    Raises
    ------
    ParameterError
        If a value is no whole number.

    Examples
    --------
    >>> parse_ids("detector_id", "112"), parse_ids("detector_id", [111, 112])
    ([112], [111, 112])
    """
    several = not isinstance(value, str) and getattr(value, "shape", None) != () and hasattr(value, "__iter__")
    return [parse_whole(name, v) for v in (value if several else [value])]
