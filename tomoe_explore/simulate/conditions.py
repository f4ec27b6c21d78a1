"""What an observer meets, and the mistakes an observer makes."""

from __future__ import annotations

from dataclasses import dataclass

from tomoe_explore.camera import GAIN_MODES
from tomoe_explore.errors import ParameterError

#: Mistakes by name, as `simulate` takes them; each holds for all films of the night.
MISTAKES = {
    "dome": "the dome is closed: neither sky nor stars",
    "twilight": "the sky fills a good part of the full well, and rises",
    "defocus": "star images are rings of 12-20 arcsec",
    "pointing": "the header is wrong by about 3 deg",
    "no-dark": "no dark was taken",
    "no-flat": "no flat was taken",
    "other-gain": "dark and flat were taken in another gain mode",
    "trailed": "the telescope does not follow: stars trail by more than 6 px a frame",
    "thick-cloud": "clouds take 5 mag",
    "planet": "a planet of -2 mag stands on each detector",
    "saturated": "a cluster of bright stars fills each detector",
}

THICK_CLOUD_MAG = 5.0  #: extinction of ``thick-cloud``
POINTING_MISTAKE_DEG = 3.0  #: of ``pointing``
ROTATION_PER_ARCMIN = 0.2  #: *assumed*: deg by which the camera is turned at most, for each arcmin of pointing error


@dataclass(frozen=True)
class Conditions:
    """What all films of a night share.

    Attributes
    ----------
    seeing : float or None
        Full width at half maximum of star images, arcsec; None draws it for each exposure.
    moon : float
        Moonlight, 0 to 1.
    cloud : float
        Typical extinction by clouds, mag.
    pointing_error_arcmin : float
        Largest distance between the header and where the telescope points.
    gain : str
        Name of the gain mode.
    mistake : str or None
        One of `MISTAKES`.

    Raises
    ------
    ParameterError
        If a value makes no sense.

    Examples
    --------
    >>> Conditions(mistake="thick-cloud").cloud_mag
    5.0
    """

    seeing: float | None = None
    moon: float = 0.0
    cloud: float = 0.0
    pointing_error_arcmin: float = 0.75
    gain: str = "high"
    mistake: str | None = None

    def __post_init__(self) -> None:
        if self.seeing is not None and not 1.0 <= self.seeing <= 20.0:
            raise ParameterError(f"seeing must be 1 to 20 arcsec, got {self.seeing:g}")
        for name, value, most in (("moon", self.moon, 1.0), ("cloud", self.cloud, 10.0)):
            if not 0.0 <= value <= most:
                raise ParameterError(f"{name} must be 0 to {most:g}, got {value:g}")
        if not 0.0 <= self.pointing_error_arcmin <= 30.0:
            raise ParameterError(f"pointing_error_arcmin must be 0 to 30, got {self.pointing_error_arcmin:g}")
        if self.gain not in GAIN_MODES:
            raise ParameterError(f"gain must be one of {', '.join(GAIN_MODES)}, got {self.gain!r}")
        if self.mistake is not None and self.mistake not in MISTAKES:
            raise ParameterError(f"mistake must be one of {', '.join(MISTAKES)}, got {self.mistake!r}")

    @property
    def cloud_mag(self) -> float:
        """Typical extinction by clouds, with the mistake."""
        return THICK_CLOUD_MAG if self.mistake == "thick-cloud" else self.cloud

    def gain_of(self, kind: str) -> str:
        """Gain mode in which a film of a kind (``object``, ``dark``, ``flat``) is taken."""
        if self.mistake != "other-gain" or kind == "object":
            return self.gain
        return "mid" if self.gain == "high" else "high"
