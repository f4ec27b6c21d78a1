"""Plots and widgets: a table or an image in, a view in the cell out. No view computes anything of its own.

All work without the internet and without a server of their own, also behind a hub's proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from tomoe_explore.archive import Archive
    from tomoe_explore.views.job_view import JobsView, JobView
    from tomoe_explore.views.light_curve_view import LightCurveView
    from tomoe_explore.views.mover_view import MoverView
    from tomoe_explore.views.sky_view import SkyView
    from tomoe_explore.views.track_view import TrackView

__all__ = ["jobs", "light_curve", "movers", "sky", "tracks"]


def sky(archive: Archive, night: str | None = None) -> SkyView:
    """The sky of a night: zoom redraws it from all sources, a click on a star shows its light curve.

    Parameters
    ----------
    archive : Archive
    night : str, optional
        ``YYYY-MM-DD``; all nights if not given.

    Returns
    -------
    SkyView
        A widget; ``.selection`` is the ``source_id`` of the star clicked.

    Raises
    ------
    NotFoundError
        If the archive has no source (that night).

    Examples
    --------
    >>> view = te.views.sky(archive, night="2020-08-14")
    >>> view.selection is None  # until a star is clicked
    True
    """
    from tomoe_explore.views.sky_view import SkyView

    return SkyView(archive, night=night)


def light_curve(archive: Archive, position: Any, *, radius: str = "3 arcsec") -> LightCurveView:
    """A light curve, its periodogram, and the curve folded at a period that a click on a peak chooses.

    A click on a point tells where it comes from.

    Parameters
    ----------
    archive : Archive
    position : str, SkyCoord or pair of float
        As `Archive.light_curve` understands it.
    radius : str
        Within which the star is looked for.

    Returns
    -------
    LightCurveView
        A widget; ``.period`` (s) and ``.point`` follow what is clicked; ``.light_curve``, ``.periodogram``.

    Examples
    --------
    >>> star = archive.table("sources").to_pylist()[0]
    >>> view = te.views.light_curve(archive, (star["ra"], star["dec"]))
    >>> bool(view.period == view.periodogram.period.to_value("s"))
    True
    """
    from tomoe_explore.views.light_curve_view import LightCurveView

    return LightCurveView(archive.light_curve(position, radius=radius), archive)


def movers(archive: Archive, night: str | None = None) -> MoverView:
    """Moving-object candidates one by one, best first: films at 2 Hz, the track, sums along it, and magnitudes.

    The films are those that are kept when the raw ones go: fixed on the sky, or following the mover.

    Parameters
    ----------
    archive : Archive
    night : str, optional
        ``YYYY-MM-DD``; all nights if not given.

    Returns
    -------
    MoverView
        A widget; ``.mover_id`` is the candidate shown.

    Raises
    ------
    NotFoundError
        If the archive has no mover (that night).

    Examples
    --------
    >>> view = te.views.movers(archive)
    >>> view.mover_id in archive.table("movers")["mover_id"].to_pylist()
    True
    """
    from tomoe_explore.views.mover_view import MoverView

    return MoverView(archive, night=night)


def tracks(archive: Archive, night: str | None = None) -> TrackView:
    """What moved on each film, drawn on its stack: tracks of movers, and streaks with their class and rate.

    Parameters
    ----------
    archive : Archive
    night : str, optional
        ``YYYY-MM-DD``; all nights if not given.

    Returns
    -------
    TrackView
        A widget; ``.product_id`` is the stack shown, ``.movers`` and ``.streaks`` the rows drawn on it.

    Raises
    ------
    NotFoundError
        If the archive has no stack (that night).

    Examples
    --------
    >>> view = te.views.tracks(archive)
    >>> len(view.movers) > 0
    True
    """
    from tomoe_explore.views.track_view import TrackView

    return TrackView(archive, night=night)


@overload
def jobs(archive: Archive) -> JobsView: ...
@overload
def jobs(archive: Archive, job_id: int) -> JobView: ...
def jobs(archive: Archive, job_id: int | None = None) -> JobsView | JobView:
    """The jobs of an archive as they go on: films done, rate against real time, failures, time left, log.

    Parameters
    ----------
    archive : Archive
    job_id : int, optional
        Only this job; otherwise a list to choose from, newest first.

    Returns
    -------
    JobsView or JobView
        A widget with buttons to cancel and resume. It follows the job until that has ended or ``.close()`` is called.

    Raises
    ------
    NotFoundError
        If there is no job with this number.

    Examples
    --------
    >>> view = te.views.jobs(archive)
    >>> view.close()
    """
    from tomoe_explore.operations.job_list import Jobs
    from tomoe_explore.views.job_view import JobsView, JobView

    return JobsView(Jobs(archive)) if job_id is None else JobView(Jobs(archive)[job_id])
