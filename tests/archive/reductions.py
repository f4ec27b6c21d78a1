"""Hand-made reductions: small stacks and tables whose content is known, without the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.wcs import WCS

from tomoe_explore import schema
from tomoe_explore.archive import Archive
from tomoe_explore.archive.reserve import Reservation
from tomoe_explore.archive.sky import healpix_29
from tomoe_explore.camera import GAIN_MODES, NX, NY, PIXEL_SCALE
from tomoe_explore.data import Exposure, Master, MoverCutout, Provenance, Reduction, Stack
from tomoe_explore.ids import member_ids

FRAMES = 18


def make_exposure(exposure_id: int = 357754, detector_id: int = 112, **changed: Any) -> Exposure:
    """A survey exposure of 2020-08-14; each exposure number is 9.5 s after the one before."""
    values: dict[str, Any] = {
        "kind": "object", "night": "2020-08-14", "mjd_start": 59075.5 + (exposure_id - 357754) * 9.5 / 86400,
        "n_frames": FRAMES, "frame_interval_s": 0.5, "exptime1_s": 0.499904, "ra": 311.2, "dec": -13.4,
        "gain_mode": GAIN_MODES["high"], "object": "J2044-1324_dith1", "project": "2Hz", "observer": "kiso",
    }  # fmt: skip
    return Exposure(exposure_id=exposure_id, detector_id=detector_id, **(values | changed))


def wcs_header(ra: float, dec: float) -> dict[str, Any]:
    """TAN WCS of a detector whose centre lies at a position, north up."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(NX + 1) / 2, (NY + 1) / 2]
    wcs.wcs.cd = np.diag([-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600])
    return dict(wcs.to_header())


def make_stack(ra: float = 310.0, dec: float = -12.0, *, shape: tuple[int, int] = (48, 64), seed: int = 1) -> Stack:
    """A stack of noise; its WCS is that of a whole detector whatever the shape."""
    rng = np.random.default_rng(seed)
    image = (200 + rng.normal(0, 3, shape)).astype(np.float32)
    mask = np.zeros(shape, np.uint8)
    mask[5, 7] = 1
    return Stack(
        image=image, variance=np.full(shape, 9.0, np.float32), mask=mask, n_frames=FRAMES - 1,
        wcs_header=wcs_header(ra, dec), zeropoint=24.1, zeropoint_err=0.012, fwhm_px=3.0, sky=200.0, depth=18.2,
        n_stars=120, astrometric_rms=0.08,
    )  # fmt: skip


def make_tables(
    reduction_id: int, exposure: Exposure, ra: Any, dec: Any, *, ref_id: Any = None, flux: float = 1e6
) -> dict[str, pa.Table]:
    """``photometry``, ``sources`` and ``frames`` of some positions; ``ref_id`` null means no reference star."""
    ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    n = len(ra)
    rng = np.random.default_rng(reduction_id % 2**32)
    ids, pixels = member_ids(reduction_id, n), healpix_29(ra, dec)
    refs = pa.array([None] * n if ref_id is None else list(np.atleast_1d(ref_id)), pa.int64())
    refcat = pa.array([None if value is None else "gaia" for value in refs.to_pylist()], pa.string())
    frame = np.tile(np.arange(exposure.n_frames), n)
    y = np.linspace(10, 1000, n).astype(np.float32)

    def repeat(values: Any) -> Any:
        index = pa.array(np.repeat(np.arange(n), exposure.n_frames))
        return values.take(index) if isinstance(values, pa.Array) else np.repeat(values, exposure.n_frames)

    of_film = {
        "exposure_id": exposure.exposure_id, "detector_id": exposure.detector_id, "reduction_id": reduction_id,
        "flags": 0,
    }  # fmt: skip
    photometry = {
        "source_id": repeat(ids), "refcat": repeat(refcat), "ref_id": repeat(refs), "ra": repeat(ra),
        "dec": repeat(dec), "x": repeat(y), "y": repeat(y), "mjd": exposure.mid_times(frame, repeat(y)),
        "flux": (flux + rng.normal(0, 1e4, n * exposure.n_frames)).astype(np.float32),
        "flux_err": np.full(n * exposure.n_frames, 1e4, np.float32), "background": 200.0, "frame": frame,
        "healpix_29": repeat(pixels), **of_film,
    }  # fmt: skip
    sources = {name: 1.0 for name in schema.TABLES["sources"].names if name not in ("object_id",)}
    sources |= {"source_id": ids, "refcat": refcat, "ref_id": refs, "ra": ra, "dec": dec, "healpix_29": pixels}
    sources |= {"n_frames": exposure.n_frames, **of_film}
    frames = dict.fromkeys(schema.TABLES["frames"].names, 1.0)
    frames |= {"frame": np.arange(exposure.n_frames), "mjd": exposure.mid_times(np.arange(exposure.n_frames), 563.5)}
    frames |= {"n_stars": 10, **of_film}
    made = {"photometry": photometry, "sources": sources, "frames": frames}
    return {name: schema.conform(name, values) for name, values in made.items()}


def make_reduction(
    reservation: Reservation, *, ra: Any = (310.0, 310.01), dec: Any = (-12.0, -12.01), ref_id: Any = (1, 2),
    stack: Stack | None = None, cutouts: tuple[MoverCutout, ...] = (), **more: pa.Table,
) -> tuple[Reduction, Provenance]:  # fmt: skip
    """A reduction and its provenance, ready to be committed."""
    exposure, reduction_id = reservation.exposure, reservation.reduction_id
    tables = make_tables(reduction_id, exposure, ra, dec, ref_id=ref_id) | more
    stack = stack or make_stack(float(np.mean(ra)), float(np.mean(dec)))
    parameters = {"aperture_px": 4.0}
    reduction = Reduction(reduction_id, exposure, stack, tables, "dark-1", "flat-1", "gaia", parameters, cutouts)
    provenance = Provenance(
        reduction_id, reservation.film_path, reservation.film_checksum, "dark-1", "flat-1", "gaia", "xxh3:refcat",
        "0.1.0", False, parameters, {"python": "3.11"},
    )  # fmt: skip
    return reduction, provenance


def make_film(directory: Path, exposure: Exposure, content: bytes | None = None) -> Path:
    """A file that stands for a raw film: the archive only reads its bytes."""
    path = directory / f"{exposure.exposure_id}-{exposure.detector_id}.fits"
    path.write_bytes(content or f"film {exposure.exposure_id} {exposure.detector_id}".encode())
    return path


def reduce_film(archive: Archive, path: Path, exposure: Exposure, *, force: bool = False, **made: Any) -> int | None:
    """Begin, make up a reduction, commit; the reduction's id, or None if the film is done."""
    reservation = archive.begin(exposure, path, force=force)
    if reservation is None:
        return None
    archive.commit(*make_reduction(reservation, **made))
    return reservation.reduction_id


def make_master(
    kind: str, detector_id: int = 112, *, temperature_k: float = 290.0, name: str = "", **changed: Any
) -> Master:
    """A master of 4 x 5 pixels taken an hour before the films."""
    exposure = make_exposure(
        300000, detector_id, kind=kind, ra=float("nan"), dec=float("nan"), temperature_k=temperature_k,
        **({"mjd_start": 59075.5 - 1 / 24} | changed),
    )  # fmt: skip
    pixels = np.arange(20, dtype=np.float32).reshape(4, 5)
    return Master(name or f"{kind}-{detector_id}-20200814", kind, pixels, exposure, 10.0, 0.5, pixels > 18, 1.25)


def files(archive: Archive) -> list[str]:
    """Every product file that lies in the archive, registered or not."""
    found = [path for kind in ("stacks", "tables", "staging") for path in (archive.root / kind).rglob("*.*")]
    return sorted(str(path.relative_to(archive.root)) for path in found if path.name != "manifest.json")
