"""The light curve of one object: every 2 Hz measurement of it in the archive, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tomoe_explore.archive import sky
from tomoe_explore.archive.objects import SAME_OBJECT_DEG
from tomoe_explore.archive.position import parse_position, parse_radius
from tomoe_explore.errors import NotFoundError

if TYPE_CHECKING:
    from lightkurve import LightCurve

    from tomoe_explore.archive.archive import Archive

#: A star's catalog position differs from film to film by its proper motion: look this much beyond the cone.
MARGIN_DEG = 5.0 / 3600

#: How far around an empty cone the message looks for the nearest source.
NEAREST_DEG = 60.0 / 3600

_COLUMNS = (
    "source_id", "object_id", "refcat", "ref_id", "ra", "dec", "mjd", "flux", "flux_err", "mag", "mag_err",
    "background", "exposure_id", "detector_id", "frame", "flags", "reduction_id",
)  # fmt: skip


def light_curve(archive: Archive, position: Any, radius: Any, *, night: str | None = None) -> LightCurve:
    """The light curve of the nearest object; see `Archive.light_curve`."""
    ra, dec = parse_position(position)
    radius_deg = parse_radius(radius)
    reach = f"{radius_deg + MARGIN_DEG + SAME_OBJECT_DEG:.9f} deg"
    rows = archive.table("photometry", position=(ra, dec), radius=reach, night=night, columns=_COLUMNS)
    distance = sky.separation_deg(ra, dec, rows["ra"].to_numpy(), rows["dec"].to_numpy())
    inside = distance <= radius_deg
    if not inside.any():
        raise NotFoundError(_nothing_there(archive, ra, dec, radius_deg, night))
    objects = object_numbers(rows)
    nearest = objects[np.argmin(distance)]
    neighbours = [n for n in np.unique(objects[inside]) if n != nearest]
    curve = rows.filter(pa.array(objects == nearest)).sort_by([("mjd", "ascending")])
    meta = _meta(archive, curve, (ra, dec), radius_deg)
    meta["NEIGHBOURS"] = [_neighbour(rows.filter(pa.array(objects == n)), ra, dec) for n in neighbours]
    return _to_lightkurve(archive, curve, meta)


def object_numbers(rows: pa.Table) -> NDArray[np.int64]:
    """Which rows are of the same object: same reference star, else same ``object_id``, else same place on the sky.

    Rows that have no ``object_id`` yet, for their night is not consolidated, are of the object that is known nearest.

    Parameters
    ----------
    rows : pyarrow.Table
        With ``object_id, refcat, ref_id, ra, dec``.

    Returns
    -------
    ndarray of int64
        A number for each row, equal for rows of one object.
    """
    ra, dec = rows["ra"].to_numpy(), rows["dec"].to_numpy()
    known = pc.is_valid(rows["ref_id"]).to_numpy(zero_copy_only=False)
    numbers = np.full(len(ra), -1, dtype=np.int64)
    names = pc.binary_join_element_wise(
        pc.fill_null(rows["refcat"], ""), pc.fill_null(pc.cast(rows["ref_id"], pa.string()), ""), " "
    )
    codes = names.combine_chunks().dictionary_encode()
    codes = codes if isinstance(codes, pa.DictionaryArray) else codes.combine_chunks()
    numbers[known] = codes.indices.to_numpy()[known]
    next_number = len(codes.dictionary)
    object_id = pc.fill_null(rows["object_id"], -1).to_numpy()
    objects, which = np.unique(object_id[~known], return_inverse=True)
    numbers[~known] = next_number + which
    next_number += len(objects)
    left = np.flatnonzero(~known & (object_id < 0))
    numbers[left], nearest = -1, np.full(len(left), SAME_OBJECT_DEG)
    for k in np.flatnonzero(objects >= 0):
        distance = sky.separation_deg(*_founded(objects[k]), ra[left], dec[left])
        numbers[left[distance <= nearest]] = next_number - len(objects) + k
        nearest = np.minimum(nearest, distance)
    left = left[numbers[left] < 0]
    while len(left):
        near = sky.separation_deg(ra[left[0]], dec[left[0]], ra[left], dec[left]) <= SAME_OBJECT_DEG
        numbers[left[near]] = next_number
        next_number += 1
        left = left[~near]
    return numbers


def _founded(object_id: np.int64) -> tuple[float, float]:
    """Where an object was founded (deg): its id says so."""
    ra, dec = sky.cell_centers([object_id], 29)
    return float(ra[0]), float(dec[0])


def _nothing_there(archive: Archive, ra: float, dec: float, radius_deg: float, night: str | None) -> str:
    """Say what to do where nothing was measured."""
    asked = f"within {radius_deg * 3600:g} arcsec of RA {ra:.5f}, Dec {dec:.5f}" + (f" on {night}" if night else "")
    around = archive.table(
        "sources", position=(ra, dec), radius=f"{NEAREST_DEG} deg", night=night, columns=["ra", "dec"]
    )
    if around.num_rows:
        distance = sky.separation_deg(ra, dec, around["ra"].to_numpy(), around["dec"].to_numpy()).min() * 3600
        return f"no source {asked}; the nearest lies {distance:.1f} arcsec away: give a larger radius"
    films = archive.table("stacks", position=(ra, dec), radius="0 deg", night=night, columns=["exposure_id"]).num_rows
    if films:
        return f"no source {asked}, though {films} stacks cover it: nothing brighter than their depth is there"
    return f"no source {asked}: no reduced film covers this position; archive.table('stacks') lists what is covered"


def _meta(archive: Archive, curve: pa.Table, center: tuple[float, float], radius_deg: float) -> dict[str, Any]:
    first = curve.slice(0, 1).to_pylist()[0]
    ref_id = first["ref_id"]
    return {
        "LABEL": f"{first['refcat']} {ref_id}" if ref_id is not None else f"{first['ra']:.5f} {first['dec']:+.5f}",
        "OBJECT": f"{first['refcat']} {ref_id}" if ref_id is not None else None,
        "MISSION": "Tomo-e Gozen",
        "RA": first["ra"],
        "DEC": first["dec"],
        "POSITION": center,
        "RADIUS_ARCSEC": radius_deg * 3600,
        "REFCAT": first["refcat"],
        "REF_ID": ref_id,
        "SOURCE_IDS": pc.unique(curve["source_id"]).to_pylist(),
        "REDUCTION_IDS": pc.unique(curve["reduction_id"]).to_pylist(),
        "ARCHIVE": str(archive.root),
    }


def _neighbour(rows: pa.Table, ra: float, dec: float) -> dict[str, Any]:
    """Another object in the cone: which, where, how far, how bright."""
    first = rows.slice(0, 1).to_pylist()[0]
    distance = float(sky.separation_deg(ra, dec, first["ra"], first["dec"])) * 3600
    flux = float(np.mean(rows["flux"].to_numpy()))
    return {key: first[key] for key in ("refcat", "ref_id", "source_id", "ra", "dec")} | {
        "distance_arcsec": distance, "flux_njy": flux, "n_points": rows.num_rows,
    }  # fmt: skip


def _zeropoint_errors(archive: Archive, curve: pa.Table) -> NDArray[np.float64]:
    exposures = pc.unique(curve["exposure_id"]).to_pylist()
    columns = ["reduction_id", "zeropoint_err"]
    # all versions: a film may have been reduced again since its rows were read
    stacks = archive.table("stacks", exposure_id=exposures, columns=columns, all_versions=True)
    errors = dict(zip(stacks["reduction_id"].to_pylist(), stacks["zeropoint_err"].to_pylist(), strict=True))
    return np.array([errors.get(i, np.nan) for i in curve["reduction_id"].to_pylist()], dtype=float)


def _to_lightkurve(archive: Archive, curve: pa.Table, meta: dict[str, Any]) -> LightCurve:
    import warnings

    with warnings.catch_warnings():  # lightkurve warns of optional parts of itself
        warnings.simplefilter("ignore")
        from lightkurve import LightCurve
    from astropy import units as u
    from astropy.time import Time

    values = {name: curve[name].to_numpy() for name in _COLUMNS if name not in ("object_id", "refcat", "ref_id")}
    lc = LightCurve(
        time=Time(values["mjd"], format="mjd", scale="utc"),
        flux=values["flux"].astype(float) * u.nJy,
        flux_err=values["flux_err"].astype(float) * u.nJy,
        meta=meta,
    )
    for name in ("exposure_id", "detector_id", "frame", "flags", "source_id"):
        lc[name] = values[name]
    for name in ("mag", "mag_err"):
        lc[name] = values[name] * u.mag
    lc["background"] = values["background"] * u.adu
    lc["zeropoint_err"] = _zeropoint_errors(archive, curve) * u.mag
    lc["reduction_id"] = values["reduction_id"]
    return lc
