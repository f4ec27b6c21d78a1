"""What a film must be to be reduced, and when a frame is flagged: every threshold of quality, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Thresholds of `tomoe_explore.reduction.quality` and of the choice of masters.

    Attributes
    ----------
    zeropoint_e_s : float
        Gaia G (Vega) that gives 1 e-/s above the atmosphere's first airmass, nominal, mag: follows from the published
        saturation (the peak pixel of 12.2 mag in 3.5" seeing holds 6,000 e- after 0.5 s). Sensors differ by 0.1 mag.
    extinction : float
        Of clear air, mag an airmass.
    dome_sky_e_s : float
        Sky, e-/s a pixel, below which the dome is closed if there are no stars either: the darkest sky (22
        mag/arcsec2, half of it lost to vignetting) gives 12, dark current at the warmest (305 K) 6.
    dome_stars : int
        So many stars show an open dome, whatever the sky: a film whose sky is taken off already has none.
    sky_of_full : float
        Largest sky as a part of the level that is surely not saturated: beyond, stars reach the nonlinear part. Full
        moon close by (17 mag/arcsec2) gives 0.23 in high gain.
    sky_mag : float
        Brightest sky, mag/arcsec2, in gain modes that would bear more: the sun is less than about 10 deg down.
    saturated_part : float
        Largest part of the detector that may be saturated: a planet with its bleeding takes less than half of it.
    fwhm_arcsec : float
        Widest star images: seeing is 8" on the worst nights, so that more is the focus.
    ellipticity : float
        Of the mean star image, 1 - minor / major axis: drift over 360 frames gives 0.4, a lost guide far more.
    noise : float
        Largest ratio between the noise of the frames and what is expected of it, either way, standard deviations.
    min_images : int
        The mean star image needs so many stars.
    few_found : float
        Stars found over stars that the catalog lets expect in clear air; below, what hides them is cloud.
    many_found : float
        The same ratio above which a failed match is the pointing's fault, not the stars'.
    min_expected : int
        Neither can be told where fewer stars than this are expected.
    cloud_mag : float
        Loss of light against clear air, mag, beyond which a film is refused: 6 % are left.
    frame_loss : float
        Loss of light of a frame against the best frames of its film from which it is flagged ``CLOUD``; a part of 1.
    film_loss_mag : float
        Loss against clear air, mag, from which all frames of a film are flagged ``CLOUD``.
    frame_stars : int
        Fewer stars than this make a frame's shift and transparency doubtful (``FEW_STARS``).
    epoch_years, epoch_sigma : float
        Residuals that grow with proper motion betray a wrong epoch: so many years, at so many standard errors.
    min_frames : int
        Frames of a film that must be there, the first not counted.
    holes : float
        Largest part of the pixels of a calibrated film without a value (NaN).
    dark_days, flat_days : float
        Oldest (or latest) masters, days from the film.
    dark_doublings : float
        Largest change of the dark current between a dark and a film, in factors of two (about 5 K each).
    days_a_doubling : float
        A dark taken so many days away is as bad a choice as one whose dark current differs by a factor of two.
    dark_level_sigma, dark_level_adu : float
        A dark whose level differs from those of its night by so many robust standard deviations, and by so many ADU
        at least, is not used.
    dark_noise : float
        Largest variance in time of a dark over that of its read-out and dark current: light has noise of its own.

    Examples
    --------
    >>> Limits().fwhm_arcsec
    10.0
    """

    zeropoint_e_s: float = 25.1
    extinction: float = 0.15
    dome_sky_e_s: float = 8.0
    dome_stars: int = 25
    sky_of_full: float = 0.4
    sky_mag: float = 16.0
    saturated_part: float = 0.05
    fwhm_arcsec: float = 10.0
    ellipticity: float = 0.6
    noise: float = 1.3
    min_images: int = 5
    few_found: float = 0.2
    many_found: float = 0.5
    min_expected: int = 20
    cloud_mag: float = 3.0
    frame_loss: float = 0.2
    film_loss_mag: float = 1.0
    frame_stars: int = 5
    epoch_years: float = 2.0
    epoch_sigma: float = 5.0
    min_frames: int = 3
    holes: float = 0.05
    dark_days: float = 60.0
    flat_days: float = 365.0
    dark_doublings: float = 2.0
    days_a_doubling: float = 10.0
    dark_level_sigma: float = 5.0
    dark_level_adu: float = 2.0
    dark_noise: float = 3.0


LIMITS = Limits()  #: the thresholds in use
