"""The movers' benchmark judges rightly: what is a match, what is false, what the peer gets, what the figures say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tomoe_explore import raw
from tomoe_explore.archive import Archive
from tomoe_explore.camera import NX, NY, PIXEL_SCALE
from tomoe_explore.ids import make_reduction_id
from tomoe_explore.reduction.recipe import reduce_film
from tomoe_explore.refcat import read_refcat
from tomoe_explore.simulate.movers import Mover
from tomoe_explore.simulate.plan import schedule
from tomoe_explore.simulate.projection import Projection, pointing_for

MJD = 59075.6
FWHM = 3.0  #: arcsec
HEADER = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 310.0, "CRVAL2": -12.0, "CRPIX1": 1000.5, "CRPIX2": 564.5,
    "CD1_1": -PIXEL_SCALE / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": PIXEL_SCALE / 3600,
}  # fmt: skip


def make_mover(number: int, snr: float = 8.0, rate: float = 2.0, angle: float = 90.0) -> Mover:
    """Movers lie an arcmin apart in declination."""
    return Mover(number, 310.0, -12.0 + number / 60, MJD, rate, angle, 16.0, snr)


def make_truth(part, *movers: Mover, counted: list[bool] | None = None):
    return part("mover_films").MoverTruth(movers, np.array(counted or [True] * len(movers), bool), FWHM)


def make_candidates(part, *rows: dict[str, float]):
    """Each at a mover's true place and velocity, but for what a row says (offsets in arcsec, seconds)."""
    values = []
    for row in rows:
        mover = make_mover(int(row["mover"]), rate=row.get("true_rate", 2.0))
        mjd = MJD + row.get("seconds", 0.0) / 86400
        ra, dec = mover.at(mjd)
        ra += row.get("east", 0.0) / 3600 / np.cos(np.radians(dec))
        rate, angle = row.get("rate", mover.rate), row.get("angle", mover.position_angle)
        values.append([mjd, ra, dec + row.get("north", 0.0) / 3600, rate, angle, row.get("score", 10.0)])
    n = len(rows)
    columns = np.array(values, float).reshape(n, 6).T
    alarm = np.array([row.get("false_alarm", np.nan) for row in rows])
    covariance = np.tile(np.array([[0.04, 0.0], [0.0, 0.01]]), (n, 1, 1))
    return part("mover_match").Candidates(*columns, covariance, alarm)


# --- matches -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "true_rate", "matches"),
    [
        ({}, 2.0, True),
        ({"east": 5.9, "seconds": 4.0}, 2.0, True),  # within two widths where the mover is at that time
        ({"east": 6.1}, 2.0, False),
        ({"rate": 2.0 + 1.18}, 2.0, True),  # 1 px/s is more than a fifth
        ({"rate": 2.0 + 1.20}, 2.0, False),
        ({"rate": 11.9}, 10.0, True),
        ({"rate": 12.1}, 10.0, False),
        ({"angle": 270.0}, 2.0, False),
    ],
)
def test_a_match_is_near_in_place_and_velocity(part, row: dict[str, float], true_rate: float, matches: bool) -> None:
    truth = make_truth(part, make_mover(1, rate=true_rate))
    found = make_candidates(part, {"mover": 1, "true_rate": true_rate} | row)
    judged = part("mover_match").judge(found, truth)
    assert bool(np.isfinite(judged.score[0])) == matches
    assert len(judged.false) == (not matches)


def test_each_mover_is_matched_once_and_what_does_not_count_is_not_false(part) -> None:
    truth = make_truth(part, make_mover(1), make_mover(2, 2.0), make_mover(3), counted=[True, True, False])
    found = make_candidates(
        part, {"mover": 1, "score": 5.0, "north": 0.2}, {"mover": 1, "score": 9.0, "east": 0.2, "rate": 2.1},
        {"mover": 3}, {"mover": 3}, {"mover": 7, "score": 6.5},
    )  # fmt: skip
    judged = part("mover_match").judge(found, truth)
    assert judged.score.tolist() == [9.0, -np.inf]  # the best one
    assert judged.snr.tolist() == [8.0, 2.0]
    assert judged.repeats == 1
    assert judged.false.tolist() == [6.5]
    assert judged.chi2[0] == pytest.approx(0.5, rel=0.01)  # 0.2 arcsec at a standard error of 0.2, over two
    assert judged.rate_error[0] == pytest.approx(0.05)


def test_rows_of_the_table_are_read(part) -> None:
    from tomoe_explore import schema

    given = {name: [1.0] for name in schema.TABLES["movers"].names if name != "known_as"}
    given |= {n: [1] for n in ("mover_id", "exposure_id", "detector_id", "reduction_id", "n_frames", "flags")}
    given |= {"ra_err": [0.2], "dec_err": [0.1], "ra_dec_corr": [0.5], "false_alarm": [None], "rate": [3.0]}
    given["position_angle"] = [90.0]
    found = part("mover_match").Candidates.of_table(schema.conform("movers", given))
    assert np.allclose(found.covariance, [[[0.04, 0.01], [0.01, 0.01]]])
    assert np.isnan(found.false_alarm[0])
    assert np.allclose(found.velocity, [[3.0, 0.0]])


# --- review --------------------------------------------------------------------------------------
def test_a_person_is_shown_what_is_sure_or_goes_on(part) -> None:
    from tomoe_explore import schema

    def movers(exposure_id: int, *rows: tuple[float, float, float, float]) -> pa.Table:
        """Rows of ra, dec, position angle and score, 9.5 s an exposure, all at 3 arcsec/s."""
        n, columns = len(rows), dict(zip(("ra", "dec", "position_angle", "score"), np.array(rows).T, strict=True))
        given = {name: np.ones(n) for name in schema.TABLES["movers"].names if name not in ("known_as", "false_alarm")}
        given |= {name: np.arange(n) for name in ("detector_id", "reduction_id", "n_frames")} | columns
        given |= {"flags": np.zeros(n, int), "mover_id": 100 * exposure_id + np.arange(n)}
        given |= {"exposure_id": np.full(n, exposure_id), "mjd": np.full(n, 59000.0 + exposure_id * 9.5 / 86400)}
        given |= {"ra_err": np.full(n, 0.2), "dec_err": np.full(n, 0.2), "ra_dec_corr": np.zeros(n)}
        given |= {"rate": np.full(n, 3.0), "rate_err": np.full(n, 0.05), "position_angle_err": np.ones(n)}
        return schema.conform("movers", given)

    step = 3.0 * 9.5 / 3600
    first = movers(1, (10.0, 0.0, 90.0, 7.0), (10.1, 0.0, 90.0, 7.0), (10.2, 0.0, 90.0, 99.0), (10.3, 0.0, 90.0, 7.0))
    second = movers(2, (10.0 + step, 0.0, 90.0, 7.0), (10.1, 0.01, 90.0, 7.0), (10.3 + step, 0.0, 0.0, 7.0))
    shown = part("mover_review").reviewed([first, second, first.slice(0, 0)])
    assert [s.tolist() for s in shown] == [[True, False, True, False], [True, False, False], []]


# --- what is put in ------------------------------------------------------------------------------
def test_movers_stay_on_the_detector_and_apart_and_are_all_of_their_exposure(part) -> None:
    films = part("mover_films")
    own, empty, same = (
        replace(night, kind=kind)
        for night, kind in zip(films.mover_nights(None, 3, 0), ("own", "empty", "same"), strict=True)
    )
    assert films.mover_table(empty).num_rows == 0
    for night, n_movers in ((own, 120), (same, 40)):
        table = films.mover_table(night).to_pandas()
        assert len(table) == n_movers == table["mover_id"].nunique()
        assert table["rate"].between(0.5, 10.0).all()
        assert 0.3 < (table["rate"] < np.sqrt(5.0)).mean() < 0.7  # as many in each octave
        n = night.night
        center = pointing_for(*n.aim, n.detector_id)
        setups = [s for s in schedule(n.seed, n.date, n.exposures, 18, center) if s.kind == "object"]
        projection = Projection.nominal(*center, n.detector_id)
        for setup in setups:
            here = table[table["exposure_id"].isna() | (table["exposure_id"] == setup.exposure_id)]
            assert len(here) == 40
            assert (here["snr"].value_counts()[[8.0, 4.0, 2.5, 2.0]] == 8).all()
            tracks = []
            for row in here.itertuples():
                mover = Mover(1, row.ra, row.dec, row.mjd, row.rate, row.position_angle, 16.0)
                times = setup.mjd_start + np.linspace(0, 9, 30) / 86400
                tracks.append(np.stack(projection.to_pixels(*mover.at(times)), axis=1))
            all_tracks = np.array(tracks)
            assert (all_tracks > 60).all()
            assert (all_tracks < np.array([NX, NY]) - 60).all()
            for k in range(1, 40):
                ways = all_tracks[:k, :, None] - all_tracks[k][None, None]
                assert np.hypot(ways[..., 0], ways[..., 1]).min() > 12


def test_tuning_is_on_other_films(part) -> None:
    nights = part("mover_films").mover_nights(None, 5, 4)
    seeds = {flag: {n.night.seed for n in nights if n.tuning == flag} for flag in (True, False)}
    assert len(seeds[True]) == 4
    assert not seeds[True] & seeds[False]
    assert [n.kind for n in nights if n.tuning] == ["own", "empty", "own", "empty"]


# --- frames in another order ---------------------------------------------------------------------
def test_frames_come_in_another_order_with_the_times_of_the_film(part, demo: Path) -> None:
    """The whole recipe: the bright mover is found, no longer when its frames are shuffled, and twice when swapped."""
    archive = Archive(demo / "archive")
    path = sorted((demo / "raw").glob("rTMQ*.fits"))[-1]
    film = raw.open_film(path, checksum="")
    shuffled = part("shuffled")
    frames = film.adu(0, 18).copy()
    for other, order in ((shuffled.shuffled(film, 5), shuffled.shuffled_order(18, 5)),
                         (shuffled.swapped(film), shuffled.swapped_order(18))):  # fmt: skip
        assert order[0] == 0
        assert sorted(order) == list(range(18)) != list(order)
        assert (other.adu(3, 9) == frames[list(order[3:9])]).all()
        assert other.exposure == film.exposure
    masters, stars = archive.find_masters(film.exposure), read_refcat(demo / "raw" / "refcat.parquet")
    number = make_reduction_id(film.exposure.exposure_id, film.exposure.detector_id, 1)
    normal, shuffled_scores, swapped_scores = (
        np.sort(reduce_film(f, masters, stars, reduction_id=number).tables["movers"]["score"].to_numpy())[::-1]
        for f in (film, shuffled.shuffled(film, 5), shuffled.swapped(film))
    )
    real = normal[0]
    assert real > 15
    assert (normal > 0.7 * real).sum() == 1
    assert not (shuffled_scores > 0.7 * real).any()  # some of its places still lie on a line
    assert (swapped_scores > 0.4 * real).any()  # so bright, it is seen on a line though places jump from it


# --- the peer ------------------------------------------------------------------------------------
def make_points(part, mover: Mover | None, noise: int, seed: int = 1):
    """Points of a mover in 18 frames, with an error of 0.2 px, among random ones."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(18), noise)
    x, y = rng.uniform(0, NX, len(frame)), rng.uniform(0, NY, len(frame))
    snr = rng.uniform(4.0, 5.5, len(frame))
    if mover is not None:
        wcs = part("tracee_peer").TanSip.from_header(HEADER)
        at = np.arange(18)
        mx, my = wcs.to_pixels(*mover.at(MJD + at * 0.5 / 86400))
        frame, x, y = (np.append(a, b) for a, b in ((frame, at), (x, mx), (y, my)))
        x[-18:] += rng.normal(0, 0.2, 18)
        y[-18:] += rng.normal(0, 0.2, 18)
        snr = np.append(snr, np.full(18, 8.0))
    order = np.argsort(frame, kind="stable")
    return part("mover_search").Points(frame[order], frame[order] * 0.5, x[order], y[order], snr[order])


def test_the_peer_links_a_mover_among_noise(part) -> None:
    tracee = part("tracee_peer")
    mover = make_mover(2, rate=3.0, angle=40.0)
    film = tracee.PointFilm("sparse", make_points(part, mover, 5), HEADER, MJD, make_truth(part, mover))
    judged = tracee.judged(film, tracee.Setting(snr=4.0))
    assert np.isfinite(judged.score).tolist() == [True]
    assert len(judged.false) == 0
    assert abs(judged.rate_error[0]) < 0.02
    assert 15 < judged.score[0] < 18.1  # it may leave out an end, or the edges that turn most
    assert part("tracee_peer").judged(film, tracee.Setting(snr=9.0)).score[0] == -np.inf


def test_the_peer_is_tuned_for_its_best(part) -> None:
    """With all noise above the default threshold's place, a higher threshold finds more at no false alarm."""
    tracee = part("tracee_peer")
    movers = [make_mover(k, rate=0.8 + k, angle=40.0 * k) for k in range(1, 4)]
    films = [tracee.PointFilm("sparse", make_points(part, m, 2, k), HEADER, MJD, make_truth(part, m))
             for k, m in enumerate(movers)]  # fmt: skip
    films += [tracee.PointFilm("sparse", make_points(part, None, 2, 9), HEADER, MJD, make_truth(part))]
    setting, part_found = tracee.tune(films, lambda s: [tracee.judged(f, s) for f in films], rounds=1)
    default = [tracee.judged(f, tracee.Setting()).score[0] > -np.inf for f in films[:3]]
    assert part_found >= np.mean(default)
    assert [tracee.judged(f, setting).score[0] > -np.inf for f in films[:3]].count(True) == round(3 * part_found)


def test_threshold_leaves_a_tenth_of_a_false_candidate_a_film(part) -> None:
    def judged(*false: float):
        nothing = np.empty(0)
        return part("mover_match").Judged(nothing, nothing, nothing, nothing, nothing, 0, np.array(false))

    tracee = part("tracee_peer")
    films = [judged(5.0, 7.0), judged(6.0), *[judged()] * 8]
    assert tracee.threshold(films) == 6.0  # one of ten films has one above
    assert tracee.threshold(films[:9]) == 7.0
    assert tracee.threshold([judged()] * 3) == -np.inf


# --- figures -------------------------------------------------------------------------------------
def test_half_is_found_between_the_steps(part) -> None:
    half = part("mover_figures").half_snr
    assert half({"2": 0.0, "4": 0.25, "8": 0.75, "16": 1.0}) == pytest.approx(np.sqrt(32.0))
    assert half({"2": 0.0, "4": 0.6, "8": 0.5}) == pytest.approx(np.exp(np.log(2) + 5 / 6 * np.log(2)))
    assert np.isnan(half({"2": 0.0, "4": 0.4}))
    assert np.isnan(half({"2": 0.7, "4": 0.9}))
    assert np.isnan(half({}))


def make_run(part, *, floor: float, peer_floor: float, false: int):
    """Ten empty films, of which some have a false candidate; ten with 40 movers, found from a signal over noise on."""
    figures, match, films, work = (part(f"mover_{n}") for n in ("figures", "match", "films", "work"))
    rng = np.random.default_rng(1)
    rows, peer = [], []
    own, empty = films.mover_nights(None, 2, 0)
    for k in range(20):
        night = own if k < 10 else empty
        snr = np.tile(figures.ALL_SNRS, 4) if k < 10 else np.empty(0)
        rate = np.exp(rng.uniform(*np.log(films.RATES), len(snr)))
        alarms = np.full(int(10 <= k < 10 + false), 9.0)

        def judged(limit: float, snr=snr, rate=rate, alarms=alarms):
            score = np.where(snr >= limit, 10.0 + snr, -np.inf)
            found = np.isfinite(score)
            chi2, error = np.where(found, 1.1, np.nan), np.where(found, 0.01, np.nan)
            return match.Judged(snr, rate, score, chi2, error, int(len(snr) > 0), alarms)

        film = part("tracee_peer").PointFilm("sparse", None, {}, MJD, None)
        rows.append(work.FilmFound(night, judged(floor), judged(floor), len(alarms), 0, snr >= floor, film))
        peer.append(judged(peer_floor))
    cost = work.Cost("sparse", 81, {"readinto": np.ones(3), "empty": np.array([2.0, 3.0, 9.0]), "movers": np.ones(3)})
    return figures.Measured(rows, peer, part("tracee_peer").Setting(), 0.5, [cost])


def test_figures_say_what_was_found(part) -> None:
    run = make_run(part, floor=2.5, peer_floor=5.6, false=3)
    figures = part("mover_figures").figures_of(run)
    assert figures["completeness"] == {"8": 1.0, "4": 1.0, "2.5": 1.0, "2": 0.0} == figures["completeness_sparse"]
    assert figures["false_per_film_sparse"] == pytest.approx(0.3)
    assert figures["false_per_film_dense"] is None
    assert figures["false_review_per_night"] == pytest.approx(3 / 20 * 900 * 84)
    assert figures["false_review_per_night_below"] > figures["false_review_per_night"]
    assert figures["duplicates"] == pytest.approx(10 / (10 * 4 * 7))
    assert (figures["position_chi2"], figures["rate_error"]) == (pytest.approx(1.1), pytest.approx(0.01))
    # halves are found between 2 and 2.5, and between 4 and 5.6
    assert figures["half_found_snr"] == pytest.approx(np.sqrt(2.0 * 2.5))
    assert figures["half_found_snr_tracee"] == pytest.approx(np.sqrt(4.0 * 5.6))
    assert figures["gain_over_tracee_mag"] == pytest.approx(2.5 * np.log10(np.sqrt(4.0 * 5.6 / 5.0)))
    assert figures["core_seconds_per_film"] == 3.0
    assert list(figures["completeness_by_rate"]) == ["0.5-1", "1-2", "2-5", "5-10"]
    assert figures["movers_counted"]["8"] == 40
    (point,) = (p for p in figures["false_alarm_curves"]["sparse"]["ours"] if p["score"] < 9.0)
    assert point == {"score": pytest.approx(9.0), "false_per_film": 0.3, "completeness": 0.75}
    text = part("mover_report").report(figures, run)
    assert "1.000 1.000 1.000 0.000" in text
    assert "tracee, tuned on other films" in text


def test_a_false_alarm_that_is_louder_than_the_movers_costs_completeness(part) -> None:
    """At equal false rate both are cut where one film in ten has a false candidate; here they lie below all movers."""
    measured = make_run(part, floor=2.5, peer_floor=2.5, false=3)
    limits = part("mover_figures").limits(measured)
    assert limits == {"loose": 9.0, "peer": 9.0}


def test_what_was_not_measured_is_null(part) -> None:
    figures, m = part("mover_figures"), part("mover_figures").Measured()
    empty = figures.figures_of(m)
    assert list(empty)[: len(figures.FIGURES)] == list(figures.FIGURES)
    assert set(empty["completeness"].values()) == {None}
    assert all(empty[name] is None for name in figures.FIGURES if name != "completeness")
    assert part("mover_report").report(empty, m)


PROMISED = """
completeness false_per_film_sparse false_per_film_dense false_review_per_night duplicates position_chi2 rate_error
gain_over_tracee_mag core_seconds_per_film
"""


def test_figures_are_those_that_are_promised(part) -> None:
    assert list(part("mover_figures").FIGURES) == PROMISED.split()


def test_calibration_counts_by_order_of_the_frames(part) -> None:
    taken, shuffled = [np.array([5.0]), np.empty(0)], [np.array([5.0, 8.0])] * 4
    alarms = part("mover_work").Alarms("sparse", {"as taken": taken, "swapped": [], "shuffled": shuffled})
    figures, text = part("mover_report").calibration([alarms], points=2)
    found = figures["calibration"]["sparse"]
    assert found["score"] == [5.0, 8.0]
    assert found["as taken"] == [0.5, 0.0]
    assert found["shuffled"] == [2.0, 1.0]
    assert found["runs"] == {"as taken": 2, "swapped": 0, "shuffled": 4}
    assert "shuffled" in text
