"""A minimal writer of films for tests: any header, any pixels, plain, ``.gz`` or ``.fz``; no physics."""

from __future__ import annotations

import gzip
import io
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

HEADER = {
    "FMTTYPE": "TOMOE-IMAGE-RAW", "EXP_ID": 357754, "DET_ID": 112, "DATA-TYP": "OBJECT", "OBJECT": "J2048-1200_dith1",
    "PROJECT": "Tomo-e 2Hz survey", "OBSERVER": "nobody", "TFRAME": 0.5, "EXPTIME1": 0.499904,
    "UTC": "2020-08-14T12:34:56.789", "UTC-EXP": "2020-08-14T12:34:51.789", "RA": "20:48:00.0", "DEC": "-12:00:05.0",
    "GAIN": 0.23, "DETTEMP": 290.0,
}  # fmt: skip
NAME = "rTMQ1202008140035775412.fits"


@cache
def _noise(n_frames: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(1).integers(-5, 6, (n_frames, *shape), dtype=np.int16)


def pixels(n_frames: int = 1, shape: tuple[int, int] = (1128, 2156)) -> np.ndarray:
    """Frames of ADU: a pedestal of 50, light of 100 in the first 2000 columns and 1128 rows, noise of 3."""
    adu = _noise(n_frames, shape) + np.int16(50)
    adu[:, :1128, :2000] += 100
    return adu


def write_film(path: Path, adu: np.ndarray, *, bzero: int = 0, pack: str = "", **keywords: object) -> Path:
    """Write a film; ``DATA_TYP`` stands for ``DATA-TYP``, a keyword given as None is left out."""
    given = {key if key in HEADER or key == "EXP_ID" else key.replace("_", "-"): v for key, v in keywords.items()}
    header = fits.Header({key: value for key, value in (HEADER | given).items() if value is not None})
    if bzero:
        adu = adu.astype(np.uint16)  # which FITS stores as int16 with BZERO 32768
    if pack == "fz":
        fits.CompImageHDU(adu, header, compression_type="RICE_1", quantize_level=16).writeto(path, overwrite=True)
    else:
        buffer = io.BytesIO()
        fits.PrimaryHDU(adu, header).writeto(buffer)
        path.write_bytes(gzip.compress(buffer.getvalue(), 1) if pack == "gz" else buffer.getvalue())
    return path
