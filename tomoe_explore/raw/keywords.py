"""What the keywords of a film say: identity, times, pointing, gain."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

from tomoe_explore import camera
from tomoe_explore.data import Exposure, Kind
from tomoe_explore.errors import MissingKeywordError, ParameterError
from tomoe_explore.raw.layout import Layout
from tomoe_explore.schema import Flag

_KINDS = ("object", "dark", "flat")
_NEEDED = ("EXP_ID", "DET_ID", "DATA-TYP", "TFRAME", "EXPTIME1", "UTC")
_FIRST_YEAR, _LAST_YEAR = 2010, 2100  # the first prototype saw light in 2014
_MJD_OF_ORDINAL_0 = date(1858, 11, 17).toordinal()
_NIGHT_OFFSET_D = (9.0 - 12.0) / 24.0  # local time is UTC + 9 h, and a night runs from noon to noon


def exposure_of(layout: Layout) -> Exposure:
    """What the header of a film says; every missing keyword is named at once."""
    header = layout.header
    is_object = str(header.get("DATA-TYP", "")).strip().upper() == "OBJECT"
    missing = [k for k in _NEEDED + (("RA", "DEC") if is_object else ()) if k not in header]
    if missing:
        layout.keyword_error(f"the header lacks the keywords {', '.join(missing)}")
    kind = str(header["DATA-TYP"]).strip().lower()
    if kind not in _KINDS:
        layout.keyword_error(f"DATA-TYP must be OBJECT, DARK or FLAT, got {header['DATA-TYP']!r}")
    exposure_id = int(number(layout, "EXP_ID"))
    try:
        detector_id = camera.check_detector(int(number(layout, "DET_ID")))
        gain = camera.gain_mode(number(layout, "GAIN") if "GAIN" in header else None)
    except ParameterError as error:
        layout.keyword_error(str(error))
    interval_s, exptime1_s = _cadence(layout)
    mjd_start, bad_time = _times(layout)
    ra, dec = _pointing(layout) if is_object else (math.nan, math.nan)
    words = {key: str(header.get(key.upper(), "")).strip() for key in ("object", "project", "observer")}
    return Exposure(
        exposure_id, detector_id, cast(Kind, kind), _night(layout.path, exposure_id, mjd_start), mjd_start,
        layout.shape[0], interval_s, exptime1_s, ra, dec, gain, number(layout, "DETTEMP", math.nan),
        int(Flag.BAD_TIME) if bad_time else 0, **words,
    )  # fmt: skip


def number(layout: Layout, key: str, default: float | None = None) -> float:
    """A keyword's value as a number; ``default`` where the header has none."""
    if default is not None and key not in layout.header:
        return default
    try:
        value = float(layout.header[key])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        layout.keyword_error(f"{key} must be a number, got {layout.header[key]!r}")
    return value


def _cadence(layout: Layout) -> tuple[float, float]:
    interval_s, exptime1_s = number(layout, "TFRAME"), number(layout, "EXPTIME1")
    if not 0 < exptime1_s <= interval_s < math.inf:
        layout.keyword_error(f"expected 0 < EXPTIME1 <= TFRAME (s), got EXPTIME1 {exptime1_s}, TFRAME {interval_s}")
    return interval_s, exptime1_s


def _times(layout: Layout) -> tuple[float, bool]:
    """MJD of ``UTC``, and whether ``UTC-EXP`` shows that it is corrupt."""
    start = _mjd(layout, "UTC")
    if "UTC-EXP" not in layout.header:
        return start, False
    try:
        return start, _mjd(layout, "UTC-EXP") >= start
    except MissingKeywordError:
        return start, True


def _mjd(layout: Layout, key: str) -> float:
    """MJD of a keyword that holds an ISO date and time, or a time of the day in ``DATE-OBS``."""
    text = str(layout.header[key]).strip()
    if "T" not in text and "DATE-OBS" in layout.header:
        text = f"{str(layout.header['DATE-OBS']).strip()[:10]}T{text}"
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        layout.keyword_error(f"{key} must be a UTC date and time like 2020-08-14T12:34:56.789, got {text!r} ({error})")
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    if not _FIRST_YEAR <= time.year < _LAST_YEAR:
        layout.keyword_error(f"{key} must be a date of this camera, {_FIRST_YEAR} to {_LAST_YEAR - 1}, got {text!r}")
    day = datetime(time.year, time.month, time.day)
    return day.toordinal() - _MJD_OF_ORDINAL_0 + (time - day) / timedelta(days=1)


def _pointing(layout: Layout) -> tuple[float, float]:
    ra, dec = (_degrees(layout, key) for key in ("RA", "DEC"))
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        layout.keyword_error(f"an OBJECT film must have RA in 0-360 deg and DEC in +-90 deg, got {ra}, {dec}")
    return ra, dec


def _degrees(layout: Layout, key: str) -> float:
    """Degrees of a sexagesimal string (``RA`` in hours), or of a plain number in degrees."""
    value = layout.header[key]
    if isinstance(value, (int, float)):
        return float(value)
    match = re.fullmatch(r"([+-]?)(\d+)[: ](\d+)[: ](\d+(?:\.\d*)?)", str(value).strip())
    if match is None or float(match[3]) >= 60 or float(match[4]) >= 60:
        layout.keyword_error(f"{key} must be sexagesimal like 20:40:12.3 (RA) or -12:00:05 (DEC), got {value!r}")
    sign, whole, minutes, seconds = match.groups()
    degrees = (int(whole) + int(minutes) / 60 + float(seconds) / 3600) * (15 if key == "RA" else 1)
    return -degrees if sign == "-" else degrees


def _night(path: Path, exposure_id: int, mjd_start: float) -> str:
    """From the file name if it is this exposure's, else the local date at the preceding noon."""
    try:
        name = camera.parse_name(path.name)
        if name.exposure_id == exposure_id:
            return name.night
    except ParameterError:
        pass
    return date.fromordinal(math.floor(mjd_start + _NIGHT_OFFSET_D) + _MJD_OF_ORDINAL_0).isoformat()
