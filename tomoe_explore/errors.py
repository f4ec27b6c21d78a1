"""Every error of the package: small classes under one parent, each naming one kind of fault.

A message says what was expected, what came, and where. ``kind`` is the short word that is stored in the
``status`` of a failed reduction and shown to users, so that failures can be counted by kind.
"""

from __future__ import annotations

#: Kinds of errors that say nothing against a film: calibrations come later, disks are emptied, processes start again.
PASSING = ("no-masters", "archive", "reserved", "worker-died")


class TomoeError(Exception):
    """Parent of all errors raised on purpose by this package.

    Examples
    --------
    >>> from tomoe_explore.errors import TomoeError, TruncatedFilmError
    >>> issubclass(TruncatedFilmError, TomoeError)
    True
    """

    kind = "error"


class FilmError(TomoeError):
    """A film cannot be read or is not what its header says."""

    kind = "film"


class NotFitsError(FilmError):
    """The file is not a FITS file."""

    kind = "not-fits"


class TruncatedFilmError(FilmError):
    """The file ends before the pixels its header announces."""

    kind = "truncated"


class FilmShapeError(FilmError):
    """The pixels have a shape or type that no Tomo-e film has."""

    kind = "shape"


class MissingKeywordError(FilmError):
    """A header keyword that is needed is absent or cannot be understood."""

    kind = "keyword"


class HolesError(FilmError):
    """Too many pixels of a calibrated film have no value."""

    kind = "holes"


class LostFramesError(FilmError):
    """Too few frames of a film were recorded."""

    kind = "lost-frames"


class QualityError(TomoeError):
    """A film is what its header says, but no astronomy can come of it; each child names the reason."""

    kind = "quality"


class DomeError(QualityError):
    """Neither sky nor stars: the dome, or the cover of the telescope, was closed."""

    kind = "dome"


class TwilightError(QualityError):
    """The sky is too bright."""

    kind = "twilight"


class CloudError(QualityError):
    """Clouds took nearly all the light of the stars."""

    kind = "cloud"


class DefocusError(QualityError):
    """Star images are wider than any seeing makes them."""

    kind = "defocus"


class TrailedError(QualityError):
    """All star images are drawn out alike: the telescope did not follow the sky."""

    kind = "trailed"


class PointingError(QualityError):
    """Stars enough, but not those that the catalog has where the header points."""

    kind = "pointing"


class SaturatedFieldError(QualityError):
    """A planet, or too many bright stars, saturate too much of the detector."""

    kind = "saturated"


class NoiseError(QualityError):
    """The frames scatter otherwise than gain, read-out and light let them: the errors would be wrong."""

    kind = "noise"


class CalibrationError(TomoeError):
    """A master dark or flat does not belong to the film, or cannot be made."""

    kind = "calibration"


class NoMastersError(CalibrationError):
    """No master dark or flat of this detector is known."""

    kind = "no-masters"


class RefcatError(TomoeError):
    """A reference catalog lacks columns, or has values that make no sense."""

    kind = "refcat"


class NoReferenceStarsError(RefcatError):
    """The reference catalog has no (or too few) stars where the film points."""

    kind = "no-reference-stars"


class RefcatEpochError(RefcatError):
    """Stars lie where their proper motion has them in other years than the reference catalog says."""

    kind = "refcat-epoch"


class OrbitsError(TomoeError):
    """A file of known objects' orbits cannot be read, or has none."""

    kind = "orbits"


class AstrometryError(TomoeError):
    """The stars of a film could not be matched with the reference catalog."""

    kind = "astrometry"


class PoorSolutionError(AstrometryError):
    """Stars match with the reference catalog, but scatter too much about the solution."""


class ZeropointError(TomoeError):
    """Too few good stars to tie the fluxes of a film to the reference catalog."""

    kind = "zeropoint"


class SchemaError(TomoeError):
    """A table does not have the columns that ``schema.py`` promises."""

    kind = "schema"


class ArchiveError(TomoeError):
    """The archive is missing, read-only, or refuses what was asked."""

    kind = "archive"


class NotFoundError(ArchiveError):
    """No product, reduction or source has this id; or no file is there to work on."""

    kind = "not-found"


class ReservedError(ArchiveError):
    """Another process that still runs is reducing this film."""

    kind = "reserved"


class JobError(ArchiveError):
    """A job cannot be started, resumed, or is not what was expected."""

    kind = "job"


class JobTimeoutError(JobError, TimeoutError):
    """The job had not ended when the time given to wait for it was over."""


class TooManyRowsError(ArchiveError):
    """A read would return more rows than the guard allows."""

    kind = "too-many-rows"


class WorkerDiedError(TomoeError):
    """The process that worked on a film died: of too little memory, or in a library."""

    kind = "worker-died"


class ParameterError(TomoeError, ValueError):
    """A parameter has a name or value that is not understood; the message names the valid ones."""

    kind = "parameter"
