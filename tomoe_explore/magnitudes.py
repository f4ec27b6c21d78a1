"""The one place where fluxes in nJy (AB) and Gaia G magnitudes (Vega) meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: AB minus Vega zero point of the Gaia G band, mag: 0.114 in DR3 (0.105 in DR2).
#: G_AB = G_Vega + GAIA_G_AB_OFFSET. Every table of the archive uses this one value.
#: Source: Gaia DR3 documentation, chapter 5.4.1 (photometric zero points).
GAIA_G_AB_OFFSET = 0.114

#: AB magnitude of 1 nJy (3631 Jy is AB magnitude 0).
NJY_AB_ZEROPOINT = 2.5 * np.log10(3631e9)


def flux_njy(mag_g: ArrayLike) -> NDArray[np.float64]:
    """Flux density in nJy (AB) of a Gaia G magnitude (Vega).

    Parameters
    ----------
    mag_g : array_like
        Gaia G magnitudes, Vega system.

    Returns
    -------
    ndarray of float64
        Flux densities in nJy.

    Examples
    --------
    >>> round(float(flux_njy(16.0)), 1)
    1301446.3
    """
    mag_ab = np.asarray(mag_g, dtype=np.float64) + GAIA_G_AB_OFFSET
    return np.asarray(10.0 ** (0.4 * (NJY_AB_ZEROPOINT - mag_ab)))


def mag_g(flux: ArrayLike) -> NDArray[np.float64]:
    """Gaia G magnitude (Vega) of a flux density in nJy (AB); NaN where the flux is not positive.

    Examples
    --------
    >>> float(mag_g(flux_njy(14.25)).round(6))
    14.25
    """
    flux = np.asarray(flux, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = NJY_AB_ZEROPOINT - 2.5 * np.log10(flux) - GAIA_G_AB_OFFSET
    return np.where(flux > 0, mag, np.nan)


def mag_err(flux: ArrayLike, flux_err: ArrayLike) -> NDArray[np.float64]:
    """First-order magnitude error, ``1.0857 * flux_err / flux``; NaN where the flux is not positive.

    Examples
    --------
    >>> float(mag_err(1000.0, 10.0).round(5))
    0.01086
    """
    flux = np.asarray(flux, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        err = 2.5 / np.log(10.0) * np.asarray(flux_err, dtype=np.float64) / flux
    return np.where(flux > 0, err, np.nan)
