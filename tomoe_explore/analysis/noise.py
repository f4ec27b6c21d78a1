"""How much a star ought to scatter from frame to frame, and what makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomoe_explore.errors import ParameterError

if TYPE_CHECKING:
    from astropy.nddata import CCDData

_NEEDED = ("MAGZP", "GAIN", "RDNOISE", "SKY", "APRADIUS", "APCORR", "SCINT")


@dataclass(frozen=True)
class NoiseModel:
    """Noise of one film's 2 Hz fluxes.

    Attributes
    ----------
    zeropoint : float
        Gaia G (Vega) of 1 ADU a frame.
    gain, read_noise_e : float
        e-/ADU; e- a pixel and frame.
    sky_adu : float
        Sky of a frame, ADU a pixel.
    aperture_px, aperture_correction : float
        Radius of the photometry; all light over the light within it.
    scintillation : float
        Relative rms in a frame.
    """

    zeropoint: float
    gain: float
    read_noise_e: float
    sky_adu: float
    aperture_px: float
    aperture_correction: float
    scintillation: float

    def at(self, mag: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Relative rms of a star's flux in one frame, by what makes it.

        Parameters
        ----------
        mag : array_like
            Gaia G.

        Returns
        -------
        dict of str to ndarray
            ``photons`` of the star, ``sky``, ``read-out``, ``scintillation``, and ``all``, their quadratic sum.

        Notes
        -----
        With N electrons in an aperture of A pixels: ``1 / sqrt(N)``, ``sqrt(A sky) / N``, ``sqrt(A) RN / N``, and a
        constant (Howell 1989, PASP 101, 616; Young 1967, AJ 72, 747). The soft edge of the aperture makes A, the sum
        of squared weights, a little less than the area.
        """
        adu = 10 ** (0.4 * (self.zeropoint - np.asarray(mag, float))) / self.aperture_correction
        electrons = adu * self.gain
        # the ramp of an edge one pixel wide takes a sixth of the circumference off the sum of squared weights
        pixels = np.pi * self.aperture_px**2 - np.pi * self.aperture_px / 3
        parts = {
            "photons": 1 / np.sqrt(electrons),
            "sky": np.sqrt(pixels * max(self.sky_adu, 0.0) * self.gain) / electrons,
            "read-out": np.sqrt(pixels) * self.read_noise_e / electrons,
            "scintillation": np.full_like(electrons, self.scintillation),
        }
        return parts | {"all": np.sqrt(sum(part**2 for part in parts.values()))}


def noise_model(stack: CCDData) -> NoiseModel:
    """The noise model of the film that a stack was made from.

    Parameters
    ----------
    stack : CCDData
        As ``archive.read_stack`` gives it.

    Returns
    -------
    NoiseModel

    Raises
    ------
    ParameterError
        If the stack's header lacks what it takes.

    Examples
    --------
    >>> model = NoiseModel(25.7, 0.23, 2.0, 310.0, 3.0, 1.2, 0.004)
    >>> {name: round(float(rms), 4) for name, rms in model.at(12.0).items()}
    {'photons': 0.0042, 'sky': 0.0007, 'read-out': 0.0002, 'scintillation': 0.004, 'all': 0.0058}
    """
    missing = [key for key in _NEEDED if key not in stack.header]
    if missing:
        raise ParameterError(
            f"the stack's header lacks {', '.join(missing)}: it needs a zero point and 2 Hz photometry"
        )
    return NoiseModel(*(float(stack.header[key]) for key in _NEEDED))
