"""How faint a mover may be: the magnitude that has a signal over noise in each frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from tomoe_explore.analysis.noise import noise_model
from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from astropy.nddata import CCDData

    Array = NDArray[np.float64]

_STEP_PX = 0.25  #: of the grid on which a trail is added up
_BETA = (1.5, 20.0)  #: of star images: from wide wings to nearly Gaussian ones


def mover_limit(stack: CCDData, snr: ArrayLike = 2.0, rate: float = 0.0) -> NDArray[np.float64]:
    """Magnitude of a mover that has a signal over noise in each frame of the film that a stack was made from.

    Parameters
    ----------
    stack : CCDData
        As ``archive.read_stack`` gives it.
    snr : array_like
        Of one frame, by a filter that has the shape of the trail.
    rate : float
        Of the motion, arcsec/s: the faster, the longer the trail, and the brighter the mover must be.

    Returns
    -------
    ndarray of float64
        Gaia G (Vega), of the shape of ``snr``.

    Raises
    ------
    ParameterError
        If the stack's header lacks what it takes, ``snr`` is not above 0, or ``rate`` below it.

    Notes
    -----
    ``S/N = F sqrt(sum p^2) / noise`` with the electrons ``F`` of a frame, the noise of an empty pixel, and the image
    ``p`` (sum 1) of the trail: a Moffat profile (Moffat 1969, A&A 3, 455) drawn along ``rate EXPTIME1``. Its width is
    the film's, and its wings are such that the aperture of the photometry holds what the aperture correction says.

    Examples
    --------
    >>> stack = archive.read_stack(archive.search(product="stack")["product_id"].iloc[0])
    >>> slow, fast = mover_limit(stack, 2.0), mover_limit(stack, 2.0, rate=20.0)
    >>> bool(18.0 < slow < 20.0), bool(slow - fast > 0.1)
    (True, True)
    """
    wanted = np.asarray(snr, float)
    if not (wanted > 0).all():
        raise ParameterError(f"snr must be above 0, got {wanted}")
    if not 0 <= rate < np.inf:
        raise ParameterError(f"rate must be 0 arcsec/s or more, got {rate}")
    model, header = noise_model(stack), stack.header
    missing = [key for key in ("FWHM", "EXPTIME1") if key not in header]
    if missing:
        raise ParameterError(f"the stack's header lacks {', '.join(missing)}")
    fwhm_px = float(header["FWHM"]) / PIXEL_SCALE
    alpha, beta = _profile(fwhm_px, model.aperture_px, 1 / model.aperture_correction)
    sharpness = _sum_of_squares(alpha, beta, rate * float(header["EXPTIME1"]) / PIXEL_SCALE)
    noise = np.sqrt(max(model.sky_adu, 0.0) * model.gain + model.read_noise_e**2)
    electrons = wanted * noise / np.sqrt(sharpness)
    return np.asarray(model.zeropoint - 2.5 * np.log10(electrons / model.gain), dtype=np.float64)


def _profile(fwhm_px: float, radius_px: float, inside: float) -> tuple[float, float]:
    """``alpha`` (px) and ``beta`` of the Moffat profile of this width that has so much of its light within a radius."""

    def alpha(beta: float) -> float:
        return float(fwhm_px / 2 / np.sqrt(2 ** (1 / beta) - 1))

    def too_much(beta: float) -> float:
        return 1 - float((1 + (radius_px / alpha(beta)) ** 2) ** (1 - beta)) - inside

    low, high = _BETA
    if too_much(low) >= 0 or too_much(high) <= 0:  # wider, or sharper, than any profile that is looked at
        beta = low if too_much(low) >= 0 else high
    else:
        beta = float(brentq(too_much, low, high))
    return alpha(beta), beta


def _sum_of_squares(alpha_px: float, beta: float, length_px: float) -> float:
    """Sum over pixels of the square of a trail's image, whose own sum is 1, per px2.

    Notes
    -----
    Without a trail it is ``(beta - 1)^2 / (pi alpha^2 (2 beta - 1))``; with one, that is added up on a fine grid.
    """
    reach = 8 * alpha_px
    x = np.arange(-reach - length_px / 2, reach + length_px / 2, _STEP_PX)
    y = np.arange(0.5 * _STEP_PX, reach, _STEP_PX)[:, None]
    image = np.zeros((len(y), len(x)))
    n = 2 * int(np.ceil(length_px / alpha_px * 2)) + 1
    for along in length_px * ((np.arange(n) + 0.5) / n - 0.5):
        image += (1 + ((x - along) ** 2 + y**2) / alpha_px**2) ** -beta
    image *= (beta - 1) / (np.pi * alpha_px**2) / n
    return float(2 * np.square(image).sum()) * _STEP_PX**2
