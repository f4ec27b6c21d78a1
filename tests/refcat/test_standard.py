from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tomoe_explore import schema
from tomoe_explore.errors import RefcatError
from tomoe_explore.refcat import standard_columns


def _stars(**columns: list[object]) -> pa.Table:
    return pa.table({"ra": [11.0, 10.0], "dec": [5.0, 4.0], "phot_g_mean_mag": [12.0, 13.0]} | columns)


def _without(table: pa.Table, name: str) -> pa.Table:
    return table.drop_columns([name])


def test_gaia_dr2_export(shared_data: Path) -> None:
    raw = pq.read_table(shared_data / "stars" / "gaia_dr2_ra309-318_dec-16--8_g16.parquet")
    stars = standard_columns(raw, epoch=2015.5)
    assert stars.schema.equals(schema.REFCAT.arrow, check_metadata=True)
    assert stars.num_rows == 32_691
    dec = stars["dec"].to_numpy()
    assert (np.diff(dec) >= 0).all()
    k = int(np.argmin(raw["dec"].to_numpy()))
    first = stars.slice(0, 1).to_pylist()[0]
    assert first["source_id"] == raw["source_id"][k].as_py()
    color = raw["phot_bp_mean_mag"][k].as_py() - raw["phot_rp_mean_mag"][k].as_py()
    assert first["bp_rp"] == pytest.approx(color, abs=1e-6)
    assert set(stars["ref_epoch"].to_pylist()) == {2015.5}


def test_gaia_dr3_export_keeps_unknown_motions_null(shared_data: Path) -> None:
    raw = pq.read_table(shared_data / "stars" / "gaia_dr3_ra6.3_dec61.3_g18.5.parquet")
    stars = standard_columns(raw)
    assert stars.num_rows == raw.num_rows == 8683
    unknown = int(np.isnan(raw["pmra"].to_numpy()).sum())
    assert unknown > 0
    assert stars["pmra"].null_count == unknown
    assert stars["ref_epoch"][0].as_py() == 2016.0


def test_tycho_matches_gaia_magnitudes_in_the_middle(shared_data: Path) -> None:
    """G from VT alone scatters by colour, but must have no offset against the real Gaia stars."""
    from astropy.coordinates import SkyCoord

    tycho = standard_columns(pq.read_table(shared_data / "stars" / "tycho2_vt.parquet"))
    gaia = standard_columns(pq.read_table(shared_data / "stars" / "gaia_dr2_ra309-318_dec-16--8_g16.parquet"))
    assert tycho["ref_epoch"][0].as_py() == 2000.0
    assert tycho.num_rows == 1_871_011
    t = tycho.to_pandas().query("309 < ra < 318 and -16 < dec < -8")
    sky = SkyCoord(gaia["ra"].to_numpy(), gaia["dec"].to_numpy(), unit="deg")
    k, separation, _ = SkyCoord(t.ra.to_numpy(), t.dec.to_numpy(), unit="deg").match_to_catalog_sky(sky)
    near = separation.arcsec < 1.0
    difference = gaia["phot_g_mean_mag"].to_numpy()[k] - t.phot_g_mean_mag.to_numpy()
    assert near.sum() > 1000
    assert abs(np.median(difference[near])) < 0.02
    assert np.percentile(np.abs(difference[near] - np.median(difference[near])), 68) < 0.27


@pytest.mark.parametrize(
    "names",
    [("RA_ICRS", "DE_ICRS", "Gmag"), ("raj2000", "dej2000", "gmag"), ("RAdeg", "DEdeg", "G_mean_mag")],
)
def test_usual_names_are_understood(names: tuple[str, str, str]) -> None:
    stars = standard_columns(pa.table(dict(zip(names, ([10.0], [5.0], [12.0]), strict=True))))
    assert stars.to_pylist()[0] | {"ref_epoch": None} == {
        "source_id": 1, "ra": 10.0, "dec": 5.0, "phot_g_mean_mag": 12.0,
        "pmra": None, "pmdec": None, "ref_epoch": None, "bp_rp": None,
    }  # fmt: skip


def test_source_ids_that_are_no_keys_become_running_numbers() -> None:
    for ids in (["a", "b"], [7, 7], [1, None], [1.5, 2.5]):
        stars = standard_columns(_stars(source_id=ids))
        assert sorted(stars["source_id"].to_pylist()) == [1, 2]
    big = standard_columns(_stars(source_id=[6_900_558_000_000_000_001, 6_900_558_000_000_000_003]))
    assert big["source_id"].to_pylist() == [6_900_558_000_000_000_003, 6_900_558_000_000_000_001]


def test_large_ids_beside_a_null_are_refused_as_keys_not_rounded() -> None:
    stars = standard_columns(_stars(source_id=pa.array([6_900_558_000_000_000_001, None], pa.int64())))
    assert sorted(stars["source_id"].to_pylist()) == [1, 2]


def test_negative_right_ascension_wraps() -> None:
    assert standard_columns(_stars(ra=[-10.0, 10.0]))["ra"].to_pylist() == [10.0, 350.0]


def test_stars_without_magnitude_are_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="1 of 2 stars lack"):
        stars = standard_columns(_stars(phot_g_mean_mag=[None, 13.0]))
    assert stars["ra"].to_pylist() == [10.0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_without(_stars(), "phot_g_mean_mag"), "no column of magnitudes: expected Gaia G.*got ra, dec"),
        (_without(_stars(), "dec"), "no column for dec"),
        (_stars(ra=[11e6, 10e6]), "must lie in 0 to 360 deg; 2 of 2 values do not, the first is 1.1e"),
        (_stars(dec=[91.0, 0.0]), "'dec'.*-90 to 90 deg"),
        (_stars(phot_g_mean_mag=[12_000.0, 13.0]), "must lie in -30 to 35 mag"),
        (_stars(ra=["10h", "11h"]), "column 'ra' must be numbers"),
        (_stars().slice(0, 0), "has no stars"),
    ],
)
def test_nonsense_is_refused_with_values(table: pa.Table, message: str) -> None:
    with pytest.raises(RefcatError, match=message):
        standard_columns(table)
