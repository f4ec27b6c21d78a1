"""The tables: standard words, units that parse, and conforming to them."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.io.votable.ucd import check_ucd

from tomoe_explore import schema
from tomoe_explore.columns import COLUMNS
from tomoe_explore.errors import SchemaError


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c[0])
def test_units_and_ucds_are_standard(column):
    name, _, unit, ucd, description = column
    assert check_ucd(ucd, check_controlled_vocabulary=True), (name, ucd)
    u.Unit(unit, format="vounit")
    assert description


def test_every_column_is_used():
    used = {
        name for t in [*schema.TABLES.values(), *schema.TRUTH.values(), schema.REFCAT, schema.KNOWN] for name in t.names
    }
    assert used == {c[0] for c in COLUMNS}


def test_conform_orders_casts_and_repeats_scalars():
    columns = {n: 1.5 for n in schema.TABLES["frames"].names if n not in ("frame", "mjd")}
    columns |= dict.fromkeys(("exposure_id", "detector_id", "n_stars", "flags", "reduction_id"), 3)
    table = schema.conform("frames", {"mjd": np.array([1.0, 2.0]), "frame": np.array([0, 1]), **columns})
    assert table.schema == schema.TABLES["frames"].arrow
    assert table["detector_id"].to_pylist() == [3, 3]
    assert table.schema.field("mjd").metadata[b"unit"] == b"d"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": [1]}, "has no columns colour"),
        ({"mjd": [1.0, 2.0]}, "rows, the others"),
        ({"mjd": pa.array([None], pa.float64())}, "1 nulls"),
        ({"mjd": ["noon"]}, "cannot be cast to double"),
    ],
)
def test_conform_names_what_is_wrong(change, message):
    good = {c.name: [1] for c in schema.TABLES["frames"].columns}
    with pytest.raises(SchemaError, match=message):
        schema.conform("frames", good | change)


def test_flags_work_on_arrays_and_have_names():
    flags = np.array([0, 3, 64], np.int32)
    assert (flags & schema.Flag.EDGE > 0).tolist() == [False, True, False]
    assert schema.flag_names(65) == ["SATURATED", "BLENDED"]
