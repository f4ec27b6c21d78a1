"""The main job, narrow and whole: raw films of real Gaia stars to a light curve, its period, a mover, a provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import tomoe_explore as te
from tomoe_explore.archive import Archive
from tomoe_explore.environment import code


@pytest.fixture(scope="module")
def archive(gaia_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = te.Archive.create(tmp_path_factory.mktemp("first-light") / "archive")
    run = te.reduce(gaia_night, archive, gaia_night / "refcat.parquet", progress=False)
    assert not run.failed, run
    return archive


@pytest.fixture(scope="module")
def variable(gaia_night: Path) -> dict[str, float]:
    return dict(pq.read_table(gaia_night / "truth" / "variables.parquet").to_pylist()[0])


def test_the_variables_light_curve_has_its_period_amplitude_and_phase(archive, variable):
    lc = archive.light_curve((variable["ra"], variable["dec"]))
    assert len(lc) == 3 * 18
    pg = te.periodogram(lc)
    assert pg.best.period == pytest.approx(variable["period"], rel=0.02)
    assert abs(pg.best.period - variable["period"]) < 5 * pg.best.period_err
    assert pg.best.false_alarm < 1e-6
    assert pg.peaks[0].relation == "best"
    # the phase says that the mid-times are right: half an exposure is 9 degrees of this period
    phase = 2 * np.pi * ((lc.time.utc.mjd - variable["epoch"]) / variable["period"])
    mag = np.asarray(lc["mag"].value if hasattr(lc["mag"], "value") else lc["mag"], dtype=float)
    design = np.column_stack([np.ones_like(phase), np.cos(phase), np.sin(phase)])
    _, cosine, sine = np.linalg.lstsq(design, mag, rcond=None)[0]
    assert abs(np.degrees(np.arctan2(sine, -cosine))) < 2
    assert np.hypot(cosine, sine) == pytest.approx(variable["amplitude"], rel=0.05)


def test_a_constant_star_has_no_period(archive):
    sources = archive.table("sources", columns=["ra", "dec", "mag", "flags", "chi2"]).to_pandas()
    quiet = sources[(sources["flags"] == 0) & sources["mag"].between(13, 15) & (sources["chi2"] < 1.2)].iloc[0]
    assert te.periodogram(archive.light_curve((quiet.ra, quiet.dec))).best.false_alarm > 1e-3


def test_every_exposure_shows_the_mover_and_its_cutout_film(archive, gaia_night):
    truth = pq.read_table(gaia_night / "truth" / "movers.parquet").to_pandas()
    movers = archive.table("movers").to_pandas()
    movers = movers[movers["snr"] > 50]  # what else there is, chance made
    assert sorted(movers["exposure_id"]) == sorted(truth["exposure_id"])
    mover = movers.iloc[0]
    film = archive.film((mover["ra"], mover["dec"]), int(mover["exposure_id"]), size_px=32)
    assert film.frames.shape == (18, 32, 32)
    middle = film.frames[8:10].mean(axis=0) - np.median(film.frames, axis=0)
    y, x = np.unravel_index(np.nanargmax(middle), middle.shape)
    assert np.hypot(x - 15.5, y - 15.5) < 4


def test_a_number_knows_its_film_calibrations_and_code(archive, variable):
    lc = archive.light_curve((variable["ra"], variable["dec"]))
    origin = archive.provenance(int(lc["reduction_id"][0])).to_dict()
    assert origin["film"]["checksum"].startswith("xxh3:")
    assert Path(origin["film"]["path"]).is_file()
    assert origin["dark"]["master_id"].startswith("dark-111-20200814-")
    assert origin["flat"]["master_id"].startswith("flat-111-20200814-")
    assert origin["reduction"]["code_version"] == code().version
    assert origin["reduction"]["parameters"]["mag_limit"] == 18.5


def test_the_catalog_gives_the_same_rows(archive):
    catalog = archive.catalog
    photometry = catalog["photometry"].read()
    assert len(photometry) == archive.table("photometry").num_rows
    assert len(catalog["photometry"].to_dask()) == len(photometry)
    assert len(catalog["stacks"].read()) == 3
