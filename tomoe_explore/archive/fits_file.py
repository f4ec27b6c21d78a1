"""FITS files that come out the same, byte for byte, from the same content."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astropy.io import fits


def write_reproducibly(hdus: fits.HDUList, path: Path) -> None:
    """Write with checksums whose comments hold no date, as those of a plain ``writeto`` would.

    The file is made in memory first: only then are its headers final, also those of compressed images.
    """
    from astropy.io import fits

    buffer, final = io.BytesIO(), io.BytesIO()
    hdus.writeto(buffer, output_verify="exception")
    buffer.seek(0)
    with fits.open(buffer, disable_image_compression=True) as stored:
        for hdu in stored:
            hdu.add_checksum(when="of this unit")
        stored.writeto(final, output_verify="ignore")  # verified above
    # not by astropy: numpy's tofile, which it uses on files, says of a full disk only that less was written
    path.write_bytes(final.getbuffer())
