"""Collections of movers as FITS files ``nTMQ….fits``: what is kept of a film around each candidate.

A file has an empty primary unit that says where it comes from, two units a mover, and a last one:

``CUTOUT`` (``TOMOE-IMAGE-NEO-CUTOUT``)
    The cutout film, ``(frame, y, x)``, in ADU above dark, flat-fielded, sky included; in whole steps of a sixth of the
    noise; blank where there is no good pixel. ``MOTION`` says whether it is ``FIXED``, or ``FOLLOWING`` the mover where
    a track is too long. The WCS is that of the middle frame, which for a fixed one is that of all.
``MOVER`` (``TOMOE-TABLE-NEO``)
    One row a frame: its time at the mover, where the mover is on the detector (``x, y``) and where the cutout begins
    (``x0, y0``), px from 0; and what was measured in it (``ra dec mag mag_err``; NaN where nothing was).
``FEATURES`` (``TOMOE-TABLE-NEO-FEATURE``)
    One row a mover: the numbers that the table ``movers`` has.

Movers come in the order of their ids; ``EXTVER`` is the number of one in its reduction, from 1. No clock is asked: the
same reduction gives the same bytes.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tomoe_explore import schema
from tomoe_explore.archive.fits_cards import Cards, film_cards, measure_cards, origin_cards
from tomoe_explore.archive.fits_units import BLANK, image_unit, primary_unit, table_unit
from tomoe_explore.archive.windows import moved
from tomoe_explore.data import Floats, MoverCutout, Provenance, Reduction
from tomoe_explore.errors import ArchiveError, NotFoundError
from tomoe_explore.ids import member_number

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

#: Steps of the pixels a noise sigma, as in stacks.
STEPS = 6.0

#: Steps from the blank value, and from zero, to the largest; the sky has 128, so that its high byte is mostly one.
_LARGEST, _SKY = 32767, 128

_MEASURED = ("ra", "dec", "mag", "mag_err")

_UNITS = {
    column.name: column.unit for table in ("movers", "mover_detections") for column in schema.TABLES[table].columns
}


def write_collection(reduction: Reduction, provenance: Provenance, path: Path) -> None:
    """Write a reduction's movers.

    Parameters
    ----------
    reduction : Reduction
        Its cutouts, their rows in ``movers`` and ``mover_detections``, its stack and exposure.
    provenance : Provenance
        Goes into the header.
    path : Path
        Where to.
    """
    exposure = reduction.exposure
    cards: Cards = [
        ("FMTTYPE", "TOMOE-COLLECTION-NEO", "kind of file"),
        *film_cards(exposure),
        ("MJD-OBS", exposure.mjd_start, "[d] start of frame 0, row 0, MJD"),
        ("EXPTIME1", exposure.exptime1_s, "[s] exposure of a frame"),
        ("TFRAME", exposure.frame_interval_s, "[s] from frame to frame"),
        ("NFRAMES", exposure.n_frames, "frames of the film"),
        ("NMOVERS", len(reduction.cutouts), "candidates, each with two units"),
    ]
    detections = reduction.tables["mover_detections"].sort_by("mover_id")
    ids = detections["mover_id"].to_numpy()
    units = [primary_unit([*cards, *measure_cards(reduction), *origin_cards(provenance)])]
    for cutout in sorted(reduction.cutouts, key=lambda cutout: cutout.mover_id):
        version = member_number(cutout.mover_id)
        units.append(_image(version, cutout, reduction.stack.wcs_header))
        first, last = np.searchsorted(ids, [cutout.mover_id, cutout.mover_id + 1])
        units.append(_frames(version, cutout, detections.slice(first, last - first)))
    path.write_bytes(b"".join([*units, _features(reduction.tables["movers"].sort_by("mover_id"))]))


def _image(version: int, cutout: MoverCutout, wcs_header: Any) -> bytes:
    middle = len(cutout.mjd) // 2
    corner = int(cutout.x0[middle]), int(cutout.y0[middle])
    stored, step, zero = _quantised(cutout)
    wcs = {name: value for name, value in wcs_header.items() if name != "WCSAXES"}
    for axis, first in enumerate(corner, 1):
        if f"CRPIX{axis}" in wcs:
            wcs[f"CRPIX{axis}"] = float(wcs[f"CRPIX{axis}"]) - first
    fixed = np.ptp(cutout.x0) == 0 and np.ptp(cutout.y0) == 0
    cards: Cards = [
        ("FMTTYPE", "TOMOE-IMAGE-NEO-CUTOUT", "kind of unit"),
        ("MOVERID", cutout.mover_id, "mover"),
        ("MOTION", "FIXED" if fixed else "FOLLOWING", "of the cutout on the detector"),
        ("BUNIT", "adu", "ADU above dark, flat-fielded, sky included"),
        ("BSCALE", step, "[adu] a step"), ("BZERO", zero, "[adu] of a stored 0"),
        *([("NOISE", cutout.noise, "[adu] standard deviation of the sky in a frame")] if cutout.noise > 0 else []),
        ("FRAMEMID", middle, "frame, from 0, that X0, Y0 and the WCS are of"),
        ("X0", corner[0], "[pixel] column of the detector at the first pixel"),
        ("Y0", corner[1], "[pixel] row of the detector at the first pixel"),
        ("MJD-AVG", float(cutout.mjd[middle]), "[d] mid-exposure of FRAMEMID at the mover"),
        ("WCSAXES", 2, "the third axis is time: see the next unit"),
        *((name, value, "") for name, value in wcs.items()),
    ]  # fmt: skip
    return image_unit("CUTOUT", version, stored, cards)


def _quantised(cutout: MoverCutout) -> tuple[NDArray[np.int16], float, float]:
    """Whole steps, the step and the value of 0 (ADU); a step is larger only where the range needs it."""
    good = np.isfinite(cutout.frames)
    values = cutout.frames[good].astype(float)
    some = values[:: values.size // 1000 + 1]
    sky, top = (float(np.median(some)), float(values.max())) if values.size else (0.0, 0.0)
    noise = cutout.noise if cutout.noise > 0 else 1.0
    step = max(noise / STEPS, (top - sky) / (_LARGEST - _SKY))
    zero = sky - _SKY * step
    stored = np.full(cutout.frames.shape, BLANK, np.int16)
    stored[good] = np.clip(np.rint((values - zero) / step), -_LARGEST, _LARGEST)
    return stored, step, zero


def _frames(version: int, cutout: MoverCutout, seen: pa.Table) -> bytes:
    columns: dict[str, tuple[NDArray[Any], str]] = {
        "frame": (np.arange(len(cutout.mjd), dtype=np.int16), ""), "mjd": (cutout.mjd, _UNITS["mjd"]),
        "x": (cutout.x, "pixel"), "y": (cutout.y, "pixel"), "x0": (cutout.x0, "pixel"), "y0": (cutout.y0, "pixel"),
    }  # fmt: skip
    frame = seen["frame"].to_numpy()
    for name in _MEASURED:
        measured = np.full(len(cutout.mjd), np.nan, seen.schema.field(name).type.to_pandas_dtype())
        measured[frame] = seen[name].to_numpy()
        columns[name] = measured, _unit(name)
    cards = [("FMTTYPE", "TOMOE-TABLE-NEO", "kind of unit"), ("MOVERID", cutout.mover_id, "mover"),
             ("TIMESYS", "UTC", "time scale")]  # fmt: skip
    return table_unit("MOVER", version, columns, cards)


def _features(movers: pa.Table) -> bytes:
    columns = {
        name: (movers[name].to_numpy(), _unit(name))
        for name in movers.column_names
        if not pa.types.is_string(movers.schema.field(name).type)  # a name among known objects may be found later
    }
    return table_unit("FEATURES", 1, columns, [("FMTTYPE", "TOMOE-TABLE-NEO-FEATURE", "kind of unit")])


def _unit(name: str) -> str:
    return {"pix": "pixel"}.get(_UNITS[name], _UNITS[name])


def read_cutouts(path: Path, mover_id: int | None = None) -> list[tuple[MoverCutout, Header]]:
    """Cutouts of a collection, each with its header; see `detector_wcs`.

    Parameters
    ----------
    path : Path
    mover_id : int, optional
        Only this one.

    Raises
    ------
    ArchiveError
        If the file is gone or damaged, or is no collection.
    NotFoundError
        If it has no such mover.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    try:
        content = io.BytesIO(path.read_bytes())
        # a file that breaks off, or is damaged, astropy may read with a warning
        with warnings.catch_warnings(action="error", category=AstropyUserWarning), fits.open(content) as hdus:
            if hdus[0].header.get("FMTTYPE") != "TOMOE-COLLECTION-NEO":
                raise ArchiveError(f"{path} is no collection of movers")
            wanted = [k for k in range(1, 2 * hdus[0].header["NMOVERS"], 2)
                      if mover_id in (None, hdus[k].header["MOVERID"])]  # fmt: skip
            found = [_cutout(hdus[k], hdus[k + 1].data) for k in wanted]
    except (OSError, KeyError, IndexError, ValueError, TypeError, AstropyUserWarning) as error:
        raise ArchiveError(f"collection of movers {path} cannot be read: {error}") from None
    if not found:
        raise NotFoundError(f"{path} has no mover {mover_id}" if mover_id else f"{path} has no movers")
    return found


def detector_wcs(header: Header) -> WCS:
    """The WCS of a cutout, counted from the first pixel of the detector."""
    from astropy.wcs import WCS

    return moved(WCS(header, naxis=2), -header["X0"], -header["Y0"])


def _cutout(image: Any, rows: Any) -> tuple[MoverCutout, Header]:
    header = image.header
    x0, y0, x, y, mjd = (_native(rows[name]) for name in ("x0", "y0", "x", "y", "mjd"))
    frames: Floats = np.asarray(image.data, np.float32)
    if frames.shape[0] != len(mjd):
        raise ValueError(f"{frames.shape[0]} frames, {len(mjd)} times")
    cutout = MoverCutout(header["MOVERID"], frames, x0, y0, x, y, mjd, header.get("NOISE", float("nan")))
    return cutout, header


def _native(values: Any) -> NDArray[Any]:
    return np.asarray(values, values.dtype.newbyteorder("="))
