"""How many movers are found: those that were put into films, matched with the candidates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tomoe_explore.camera import PIXEL_SCALE
from tomoe_explore.errors import NotFoundError, ParameterError
from tomoe_explore.simulate import Simulation
from tomoe_explore.simulate.injection import INJECTED

if TYPE_CHECKING:
    import pandas as pd

    from tomoe_explore.archive import Archive

Array = NDArray[np.float64]

POSITION_FWHM = 2.0  #: largest distance of a match, at the candidate's time
VELOCITY_PART, VELOCITY_PX_S = 0.2, 1.0  #: largest difference of the velocities: of the true one, but at least this
BRIGHT_MAG, AWAY_FWHM = 13.0, 3.0  #: movers nearer than this to brighter stars, in any frame, do not count

_TRUE = ("mover_id", "exposure_id", "detector_id", "mjd", "ra", "dec", "x", "y", "rate", "position_angle", "mag")


@dataclass(frozen=True, repr=False)
class Completeness:
    """What became of the movers that were put in; printing it shows the part found by signal over noise.

    Attributes
    ----------
    movers : pandas.DataFrame
        Rows of the truth ``movers``, with ``snr`` a frame (NaN where it was not asked for), ``counted`` (on the
        detector and away from bright stars in every frame), ``candidate_id`` (the candidate that it is; null if not
        found), ``found`` and the candidate's ``score``.
    candidates : pandas.DataFrame
        The archive's ``movers`` of the same films, with ``truth_id``: the mover it is, null for a false one.
    """

    movers: pd.DataFrame
    candidates: pd.DataFrame

    def by(
        self, column: str = "snr", edges: Sequence[float] | None = None, *, snr: tuple[float, float] | None = None
    ) -> pd.DataFrame:
        """The part that was found, of movers that count.

        Parameters
        ----------
        column : str
            Of ``movers``, such as ``snr``, ``mag``, ``rate``.
        edges : sequence of float, optional
            Of the bins; without them each value by itself.
        snr : (low, high), optional
            Only movers of this signal over noise, both ends included.

        Returns
        -------
        pandas.DataFrame
            ``low, high`` (the bin's edges), ``middle`` (mean of the movers in it), ``n``, ``found``, ``part``, and
            ``part_low, part_high``: the interval that holds the truth in 68 % (Wilson 1927, JASA 22, 209).

        Raises
        ------
        ParameterError
            If there is no such column of numbers.
        """
        import pandas as pd
        from astropy.stats import binom_conf_interval

        movers = self.movers[self.movers["counted"]]
        if snr is not None:
            movers = movers[movers["snr"].between(*snr)]
        if column not in movers or movers[column].dtype.kind not in "fi":
            raise ParameterError(f"column must be one of numbers in movers, such as snr, mag or rate; got {column!r}")
        value = movers[column].to_numpy(float)
        if edges is None:
            low = high = np.unique(value[np.isfinite(value)])
            place = np.where(np.isfinite(value), np.searchsorted(low, value), -1)
        else:
            low, high = np.asarray(edges[:-1], float), np.asarray(edges[1:], float)
            place = np.searchsorted(edges, value, side="right") - 1
            place[(place >= len(low)) | ~np.isfinite(value)] = -1
        group = movers[place >= 0].groupby(place[place >= 0])
        of, n = group["found"].sum(), group.size()
        at = of.index.to_numpy(int)
        table = pd.DataFrame(
            {"low": low[at], "high": high[at], "middle": group[column].mean(), "n": n, "found": of, "part": of / n}
        )
        bounds = binom_conf_interval(of.to_numpy(int), n.to_numpy(int), interval="wilson") if len(n) else [[], []]
        return table.assign(part_low=bounds[0], part_high=bounds[1]).reset_index(drop=True)

    @property
    def n_false(self) -> int:
        """Candidates that are no mover that was put in."""
        return int(self.candidates["truth_id"].isna().sum())

    def _headline(self) -> str:
        counted = self.movers[self.movers["counted"]]
        films = len(self.movers.drop_duplicates(["exposure_id", "detector_id"]))
        return (
            f"{int(counted['found'].sum())} of {len(counted)} movers found in {films} film{'s' * (films != 1)} "
            f"({len(self.movers) - len(counted)} more do not count); {self.n_false} false candidates"
        )

    def _table(self) -> pd.DataFrame:
        column = "snr" if self.movers["snr"].notna().any() else "mag"
        edges = None if column == "snr" else np.arange(10.0, 23.5, 0.5).tolist()
        return self.by(column, edges).rename(columns={"middle": column}).drop(columns=["low", "high"]).round(3)

    def __repr__(self) -> str:
        return f"{self._headline()}\n{self._table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p class='tomoe-completeness'>{self._headline()}</p>{self._table().to_html(index=False)}"


def mover_completeness(archive: Archive, truth: Simulation | str | os.PathLike[str]) -> Completeness:
    """Compare the movers of an archive with those that a simulation put into its films.

    Parameters
    ----------
    archive : Archive
        With films of the simulation; those that it has not are left out.
    truth : Simulation or path
        What `simulate` or `simulate_movers` gave, or its folder.

    Returns
    -------
    Completeness

    Raises
    ------
    NotFoundError
        If there is no truth, or the archive has none of its films.

    Notes
    -----
    A candidate is a mover if it lies within two widths of star images of it, at the candidate's time, and its velocity
    differs by at most a fifth or 1 px/s. The best candidates choose first; each mover is found once. A further
    candidate of the same mover is no false one: its ``truth_id`` is the mover's as well. Movers that come within three
    widths of a star brighter than 13 mag in any frame do not count, nor do those that leave the detector.

    Examples
    --------
    >>> found = mover_completeness(archive, raw)
    >>> print(found._headline())
    3 of 3 movers found in 3 films (0 more do not count); 0 false candidates
    """
    import pandas as pd

    from tomoe_explore.archive.pandas_frame import to_pandas

    folder = (truth.out if isinstance(truth, Simulation) else Path(truth)) / "truth"
    if not (folder / "movers.parquet").is_file():
        raise NotFoundError(f"no truth of a simulation at {folder}")
    films = to_pandas(archive.table("stacks", columns=["exposure_id", "detector_id"]))
    tables = {
        name: pd.read_parquet(folder / f"{name}.parquet").merge(films, on=["exposure_id", "detector_id"])
        for name in ("frames", "stars", "movers", "mover_positions")
    }
    here = tables["frames"].groupby(["exposure_id", "detector_id"])["fwhm"].agg(["mean", "size"])
    if here.empty:
        raise NotFoundError(f"{archive.root} has none of the films of {folder.parent}: reduce them into it first")
    candidates = to_pandas(archive.table("movers", limit=None)).merge(
        here.reset_index()[["exposure_id", "detector_id"]], on=["exposure_id", "detector_id"]
    )
    parts = [
        _film(*(t[(t["exposure_id"] == e) & (t["detector_id"] == d)] for t in (*tables.values(), candidates)))
        for e, d in here.index
    ]
    movers = pd.concat([part[0] for part in parts], ignore_index=True)
    return Completeness(_with_snr(movers, folder / INJECTED), pd.concat([p[1] for p in parts], ignore_index=True))


def _with_snr(movers: pd.DataFrame, path: Path) -> pd.DataFrame:
    """With the signal over noise that was asked for."""
    import pandas as pd

    if not path.is_file():
        return movers.assign(snr=np.nan)
    asked = pd.read_parquet(path, columns=["mover_id", "exposure_id", "snr"])
    return movers.merge(asked, on=["mover_id", "exposure_id"], how="left")


def _film(
    frames: pd.DataFrame, stars: pd.DataFrame, movers: pd.DataFrame, places: pd.DataFrame, candidates: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and candidates of one film, matched."""
    import pandas as pd

    fwhm = float(frames["fwhm"].mean())
    movers = movers[list(_TRUE)].reset_index(drop=True)
    bright = stars.loc[stars["phot_g_mean_mag"] < BRIGHT_MAG, ["x", "y"]].to_numpy(float)
    counted = []
    for mover_id in movers["mover_id"]:
        track = places.loc[places["mover_id"] == mover_id, ["x", "y"]].to_numpy(float)
        nearest = np.hypot(*(track[:, None] - bright[None]).transpose(2, 0, 1)).min(initial=np.inf)
        counted.append(len(track) == len(frames) and nearest > AWAY_FWHM * fwhm / PIXEL_SCALE)
    candidates = candidates.sort_values("score", ascending=False, ignore_index=True)
    truth, candidate = _matched(candidates, movers, fwhm)
    found = candidate >= 0
    ids, true_ids = candidates["mover_id"].to_numpy(np.int64), movers["mover_id"].to_numpy(np.int64)
    scores = candidates["score"].to_numpy(float)
    movers = movers.assign(
        counted=np.array(counted, bool), found=found,
        candidate_id=pd.array([ids[k] if k >= 0 else None for k in candidate], "Int64"),
        score=[scores[k] if k >= 0 else np.nan for k in candidate],
    )  # fmt: skip
    return movers, candidates.assign(truth_id=pd.array([true_ids[k] if k >= 0 else None for k in truth], "Int64"))


def _matched(
    candidates: pd.DataFrame, movers: pd.DataFrame, fwhm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each candidate the mover that it is, and of each mover its first candidate; -1 for none."""
    truth, candidate = np.full(len(candidates), -1), np.full(len(movers), -1)
    if not len(candidates) or not len(movers):
        return truth, candidate
    is_at, goes = _places(candidates), _velocities(candidates)
    was_at, went = _places(movers), _velocities(movers)
    limit = np.maximum(VELOCITY_PART * np.hypot(*went.T), VELOCITY_PX_S * PIXEL_SCALE)
    for k in range(len(candidates)):
        later = (candidates["mjd"].iloc[k] - movers["mjd"].to_numpy(float)) * 86_400
        offset = (is_at[k] - was_at + 180.0) % 360.0 - 180.0  # across 0 h too
        offset *= 3600 * np.array([np.cos(np.radians(is_at[k, 1])), 1.0])
        distance = np.hypot(*(offset - went * later[:, None]).T)
        near = (distance <= POSITION_FWHM * fwhm) & (np.hypot(*(goes[k] - went).T) <= limit)
        if near.any():
            truth[k] = int(np.argmin(np.where(near, distance, np.inf)))
            if candidate[truth[k]] < 0:
                candidate[truth[k]] = k
    return truth, candidate


def _places(table: pd.DataFrame) -> Array:
    return table[["ra", "dec"]].to_numpy(float)


def _velocities(table: pd.DataFrame) -> Array:
    """arcsec/s towards east and north."""
    rate, angle = table["rate"].to_numpy(float), np.radians(table["position_angle"].to_numpy(float))
    return np.stack([rate * np.sin(angle), rate * np.cos(angle)], axis=1)
