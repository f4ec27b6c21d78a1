"""Stacks as FITS files ``sTMQ….fits``: written once, read as `astropy.nddata.CCDData`.

A file has an empty primary unit that says what it is, and three tile-compressed images:

``STACK``
    The science plane: mean over the frames used, ADU a frame, sky included; only a value that stands seven sigma above
    all others of its pixel, a cosmic ray, is left out. Rice-compressed after quantisation at a sixth of the noise
    (`QUANTIZE_LEVEL`) with subtractive dithering, which is unbiased.
``SIGMA``
    The noise model: standard deviation of the science plane, in steps of 1/32 of its median.
``MASK``
    0 good, bit 1 bad pixel, bit 2 saturated.

The dither's seed comes from exposure and detector, and no clock is asked: the same stack gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tomoe_explore import camera
from tomoe_explore.archive.fits_cards import Cards, film_cards, iso_time, measure_cards, origin_cards
from tomoe_explore.archive.fits_file import write_reproducibly
from tomoe_explore.data import Exposure, Provenance, Reduction, Stack
from tomoe_explore.errors import ArchiveError

if TYPE_CHECKING:
    from astropy.io import fits
    from astropy.nddata import CCDData

#: Steps of the science plane a noise sigma, as astropy estimates it in each row.
QUANTIZE_LEVEL = 6.0

#: Steps of the noise model a median sigma.
SIGMA_STEPS = 32.0

#: Rows of a compressed tile: the fewer tiles, the less time; a cutout reads whole tiles.
TILE_ROWS = 24


def write_stack(reduction: Reduction, provenance: Provenance, path: Path) -> None:
    """Write a reduction's stack.

    Parameters
    ----------
    reduction : Reduction
        Its stack, exposure and id.
    provenance : Provenance
        Goes into the header.
    path : Path
        Where to.
    """
    from astropy.io import fits

    stack = reduction.stack
    seed = 1 + reduction.reduction_id // 1000 % 10_000  # of the film: reduced again it has the same pixels
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(stack.variance).astype(np.float32)
    known = sigma[np.isfinite(sigma)]
    step = float(np.median(known)) / SIGMA_STEPS if known.size else 1.0

    def plane(data: Any, name: str, cards: Cards, **options: Any) -> fits.CompImageHDU:
        header = fits.Header(cards)
        header.update(dict(stack.wcs_header))
        tile = (TILE_ROWS, data.shape[1])
        return fits.CompImageHDU(data, header, name=name, compression_type="RICE_1", tile_shape=tile, **options)

    dithered = {"quantize_method": 1, "dither_seed": seed}
    science = plane(stack.image.astype(np.float32), "STACK", [*_identity(reduction), *_measures(reduction)],
                    quantize_level=QUANTIZE_LEVEL, **dithered)  # fmt: skip
    noise = plane(sigma, "SIGMA", [("BUNIT", "adu", "standard deviation of STACK, ADU a frame")],
                  quantize_level=-max(step, 1e-6), **dithered)  # fmt: skip
    mask = plane(stack.mask, "MASK", [("BADPIX", 1, "bit of a bad pixel"), ("SATPIX", 2, "bit of a saturated pixel")])
    primary = fits.PrimaryHDU(
        header=fits.Header([*_identity(reduction), *_measures(reduction), *origin_cards(provenance)])
    )
    write_reproducibly(fits.HDUList([primary, science, noise, mask]), path)


def frames_combined(exposure: Exposure, stack: Stack) -> list[int]:
    """Numbers of the frames of a stack: those at the start of a film are left out, and lost ones."""
    first = max(exposure.n_frames - stack.n_frames - len(stack.lost), 0)
    return [n for n in range(first, exposure.n_frames) if n not in stack.lost]


def mid_mjd(exposure: Exposure, stack: Stack) -> float:
    """Mid-exposure (MJD, UTC) of a stack at its middle row."""
    middle = float(np.mean(frames_combined(exposure, stack)))
    return float(exposure.mid_times(middle, (camera.NY - 1) / 2))


def _identity(reduction: Reduction) -> Cards:
    exposure, n_frames = reduction.exposure, reduction.stack.n_frames
    first = frames_combined(exposure, reduction.stack)[0]
    start = exposure.mjd_start + first * exposure.frame_interval_s / 86_400.0
    middle = mid_mjd(exposure, reduction.stack)
    return [
        ("FMTTYPE", "TOMOE-IMAGE-STACK", "kind of file"),
        *film_cards(exposure),
        ("DATE-OBS", iso_time(start), "start of frame FRAME1, row 0"),
        ("MJD-OBS", start, "[d] the same, MJD"),
        ("DATE-AVG", iso_time(middle), "mid-exposure at the middle row"),
        ("MJD-AVG", middle, "[d] the same, MJD"),
        ("EXPTIME", round(n_frames * exposure.exptime1_s, 6), "[s] exposure of all frames combined"),
        ("EXPTIME1", exposure.exptime1_s, "[s] exposure of a frame"),
        ("TFRAME", exposure.frame_interval_s, "[s] from frame to frame"),
        ("FRAME1", first, "first frame combined, from 0"),
        ("NCOMBINE", n_frames, "frames combined"),
        ("NLOST", len(reduction.stack.lost), "frames that were not recorded"),
        ("COMBINE", "MEAN", "values 7 sigma above the others left out"),
    ]


def _measures(reduction: Reduction) -> Cards:
    return [("BUNIT", "adu", "ADU a frame, flat-fielded, sky included"), *measure_cards(reduction)]


def read_stack(path: Path) -> CCDData:
    """A stack file as ``CCDData``: ADU a frame, with noise, mask, WCS and header.

    Raises
    ------
    ArchiveError
        If the file is gone or is no stack.
    """
    from astropy.io import fits
    from astropy.nddata import CCDData, StdDevUncertainty
    from astropy.wcs import WCS

    try:
        with fits.open(path) as hdus:
            header: Mapping[str, Any] = hdus["PRIMARY"].header.copy()
            science, sigma, mask = (hdus[name].data for name in ("STACK", "SIGMA", "MASK"))
            image_header = hdus["STACK"].header.copy()
    except (OSError, KeyError) as error:
        raise ArchiveError(f"stack {path} cannot be read: {error}") from None
    wcs = WCS(image_header) if "CTYPE1" in image_header else None
    uncertainty = StdDevUncertainty(sigma)
    return CCDData(science, unit="adu", uncertainty=uncertainty, mask=mask != 0, wcs=wcs, meta=header)
