"""Header cards that stacks and collections of movers share: which film, what was measured, where it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tomoe_explore import camera
from tomoe_explore.data import Exposure, Provenance, Reduction

Cards = list[tuple[str, Any, str]]  #: keyword, value, comment


def film_cards(exposure: Exposure) -> Cards:
    """Which film it is of."""
    return [
        ("EXP_ID", exposure.exposure_id, "exposure"),
        ("QUAD_ID", exposure.detector_id // 100, "quadrant"),
        ("DET_ID", exposure.detector_id, "detector: 100 * quadrant + chip"),
        ("DATA-TYP", exposure.kind.upper(), "kind of exposure"),
        ("OBJECT", _ascii(exposure.object), "from the film"),
        ("PROJECT", _ascii(exposure.project), "from the film"),
        ("OBSERVER", _ascii(exposure.observer), "from the film"),
        ("TELESCOP", "Kiso 1.05 m Schmidt", ""),
        ("INSTRUME", "Tomo-e Gozen", ""),
        ("FILTER", "BLANK", "350-700 nm, no filter"),
        ("TIMESYS", "UTC", "time scale"),
    ]


def measure_cards(reduction: Reduction) -> Cards:
    """What was measured on the film; what is not known has no card."""
    stack = reduction.stack
    cards: Cards = [
        ("MAGZP", stack.zeropoint, "[mag] Gaia G (Vega) of 1 ADU a frame"),
        ("MAGZPERR", stack.zeropoint_err, "[mag] standard error of MAGZP"),
        ("MAGSYS", "Gaia G, Vega", "of MAGZP and DEPTH"),
        ("GAIN", stack.gain, "[e-/adu] gain of a frame"),
        ("RDNOISE", stack.read_noise_e, "[e-] noise of a dark frame"),
        ("APRADIUS", stack.aperture_px, "[pixel] radius of the 2 Hz photometry"),
        ("APCORR", stack.aperture_correction, "all light over light in APRADIUS"),
        ("SCINT", stack.scintillation, "relative rms of a star in a frame, by air"),
        ("FWHM", stack.fwhm_px * camera.PIXEL_SCALE, "[arcsec] of star images"),
        ("SKY", stack.sky, "[adu] sky of a frame"),
        ("DEPTH", stack.depth, "[mag] point source at 5 sigma"),
        ("ASTRMS", stack.astrometric_rms, "[arcsec] residual a coordinate, rms"),
        ("NASTSTAR", stack.n_stars, "reference stars of the astrometry"),
        ("FLAGS", reduction.exposure.flags, "bits of the whole film"),
    ]
    return [card for card in cards if not (isinstance(card[1], float) and not np.isfinite(card[1]))]


def origin_cards(provenance: Provenance) -> Cards:
    """Where it comes from."""
    return [
        ("REDUCID", provenance.reduction_id, "reduction"),
        ("DARKID", provenance.dark_id or "", "master dark"),
        ("FLATID", provenance.flat_id or "", "master flat"),
        ("REFCAT", _ascii(provenance.refcat), "reference catalog"),
        ("REFSUM", _ascii(provenance.refcat_checksum), "its checksum"),
        ("FILMSUM", provenance.film_checksum, "checksum of the raw film"),
        ("CODEVER", _ascii(provenance.code_version), "version of tomoe_explore"),
        ("CODEDRTY", provenance.code_dirty, "whether the code had uncommitted changes"),
    ]


def iso_time(mjd: float) -> str:
    """A time (MJD) as headers have it."""
    from astropy.time import Time

    return str(Time(mjd, format="mjd", scale="utc", precision=4).isot)


def _ascii(text: str) -> str:
    """FITS headers hold printable ASCII only."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
