"""Reference catalogs: read one, check it, and make one from a star table in other columns or units.

A reference catalog is a Parquet file with the columns of ``schema.REFCAT``: ``source_id, ra, dec, phot_g_mean_mag``
(deg, ICRS; Gaia G, Vega) and, where known, ``pmra, pmdec, ref_epoch, bp_rp``.
"""

from tomoe_explore.refcat.catalog import import_refcat, read_refcat, write_refcat
from tomoe_explore.refcat.formats import read_star_table
from tomoe_explore.refcat.standard import standard_columns

__all__ = ["import_refcat", "read_refcat", "read_star_table", "standard_columns", "write_refcat"]
