"""Raw films: shapes, packings, byte orders, headers, and every kind of bad film."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import xxhash
from astropy.io import fits
from astropy.time import Time

from tests.films import NAME, pixels, write_film
from tomoe_explore import errors, raw
from tomoe_explore.schema import Flag


@pytest.mark.parametrize("pack", ["", "gz", "fz"])
@pytest.mark.parametrize("bzero", [0, 32768])
def test_integer_films_give_their_pixels(tmp_path: Path, pack: str, bzero: int) -> None:
    adu = pixels(3)
    path = write_film(tmp_path / f"{NAME}{'.' * bool(pack)}{pack}", adu, bzero=bzero, pack=pack)
    film = raw.open_film(path)
    assert (film.bzero, film.n_frames, film.calibrated, film.x0, film.y0) == (bzero, 3, False, 0, 0)
    for start, stop in ((1, 3), (0, 1), (2, 3)):  # forwards and backwards
        block = film.source.read(start, stop)
        assert block.dtype == np.int16
        assert block.flags.c_contiguous
        np.testing.assert_array_equal(block.view(">i2").astype(int) + bzero, adu[start:stop])
        np.testing.assert_array_equal(film.adu(start, stop), adu[start:stop, :, :2000])
    sums = [int(block.view(">i2").sum(dtype=int)) + bzero * block.size for _, block in film.blocks(size=2)]
    assert sums == [adu[:2].sum(dtype=int), adu[2:].sum(dtype=int)]


@pytest.mark.parametrize("pack", ["", "gz", "fz"])
def test_float_cube_is_native_and_calibrated(tmp_path: Path, pack: str) -> None:
    adu = pixels(2, (1128, 2000)).astype(np.float32) + np.float32(0.25)
    film = raw.open_film(write_film(tmp_path / "cube.fits", adu, pack=pack, FMTTYPE="TOMOE-IMAGE-CUBE"))
    assert film.calibrated
    block = film.source.read(0, 2)
    assert block.dtype == np.dtype("=f4")
    assert block.flags.c_contiguous
    np.testing.assert_allclose(block, adu, atol=0.2 if pack == "fz" else 0.0)  # .fz floats are quantised
    np.testing.assert_array_equal(film.adu(1, 2), film.source.read(1, 2))


def test_original_readout_is_trimmed(tmp_path: Path) -> None:
    adu = pixels(1, (1200, 2160))
    film = raw.open_film(write_film(tmp_path / "o.fits", adu))
    assert (film.x0, film.y0) == (0, 0)
    np.testing.assert_array_equal(film.adu(0, 1), adu[:, :1128, :2000])


@pytest.mark.parametrize("x0", [0, 78, 156])
def test_reference_columns_are_found_by_statistics(tmp_path: Path, x0: int) -> None:
    film = raw.open_film(write_film(tmp_path / "f.fits", np.roll(pixels(1), x0, axis=2)))
    assert film.x0 == x0


def test_reference_rows_and_columns_of_the_original_are_found(tmp_path: Path) -> None:
    adu = np.roll(pixels(1, (1200, 2160)), (72, 80), axis=(1, 2))
    film = raw.open_film(write_film(tmp_path / "o.fits", adu))
    assert (film.x0, film.y0) == (80, 72)


def test_reference_columns_default_without_light(tmp_path: Path) -> None:
    dark = np.random.default_rng(3).integers(-9, 10, (1, 1128, 2156), dtype=np.int16)
    assert raw.open_film(write_film(tmp_path / "d.fits", dark)).x0 == 0


def test_header_says_where_the_light_is(tmp_path: Path) -> None:
    film = raw.open_film(write_film(tmp_path / "f.fits", pixels(1), TRIMSEC="[157:2156,1:1128]"))
    assert (film.x0, film.y0) == (156, 0)
    # a DATASEC over everything says nothing
    assert raw.open_film(write_film(tmp_path / "f.fits", pixels(1), DATASEC="[1:2156,1:1128]")).x0 == 0
    with pytest.raises(errors.FilmShapeError, match="TRIMSEC must span 2000x1128"):
        raw.open_film(write_film(tmp_path / "f.fits", pixels(1), TRIMSEC="[1:1999,1:1128]"))


def test_exposure_is_the_header(tmp_path: Path) -> None:
    exposure = raw.read_exposure(write_film(tmp_path / NAME, pixels(1)))
    assert (exposure.exposure_id, exposure.detector_id, exposure.kind) == (357754, 112, "object")
    assert (exposure.n_frames, exposure.frame_interval_s, exposure.exptime1_s) == (1, 0.5, 0.499904)
    assert (exposure.gain_mode.name, exposure.temperature_k, exposure.flags) == ("high", 290.0, 0)
    assert (exposure.object, exposure.observer) == ("J2048-1200_dith1", "nobody")
    assert exposure.ra == pytest.approx(312.0)
    assert exposure.dec == pytest.approx(-(12 + 5 / 3600))
    truth = Time("2020-08-14T12:34:56.789", scale="utc").mjd
    assert abs(exposure.mjd_start - truth) * 86400 < 2e-6


def test_declination_between_zero_and_minus_one_is_negative(tmp_path: Path) -> None:
    assert raw.read_exposure(write_film(tmp_path / NAME, pixels(1), DEC="-00:30:00")).dec == -0.5


@pytest.mark.parametrize(
    ("name", "utc", "night"),
    [
        ("x.fits", "2020-08-14T12:34:56", "2020-08-14"),
        ("x.fits", "2020-08-14T19:00:00", "2020-08-14"),  # 04:00 next morning in Japan
        ("x.fits", "2020-08-15T02:59:59", "2020-08-14"),  # just before noon in Japan
        ("x.fits", "2020-08-15T03:00:01", "2020-08-15"),
        (NAME, "2020-08-15T03:00:01", "2020-08-14"),  # the file name knows better
        (NAME.replace("357754", "357755"), "2020-08-15T03:00:01", "2020-08-15"),  # unless it is another's
    ],
)
def test_night(tmp_path: Path, name: str, utc: str, night: str) -> None:
    assert raw.read_exposure(write_film(tmp_path / name, pixels(1), UTC=utc)).night == night


def test_time_of_day_with_date_obs(tmp_path: Path) -> None:
    path = write_film(tmp_path / NAME, pixels(1), UTC="12:34:56.789", DATE_OBS="2020-08-14")
    assert raw.read_exposure(path).mjd_start == raw.read_exposure(write_film(tmp_path / "b.fits", pixels(1))).mjd_start


@pytest.mark.parametrize(
    ("utc_exp", "bad"),
    [("2020-08-14T12:34:51.789", False), ("2020-08-14T12:34:56.789", True), ("2020-08-14T12:35:00", True),
     ("nonsense", True), (None, False)],
)  # fmt: skip
def test_corrupt_time_stamp_is_flagged(tmp_path: Path, utc_exp: str | None, bad: bool) -> None:
    path = write_film(tmp_path / NAME, pixels(1), UTC_EXP=utc_exp)
    assert raw.read_exposure(path).flags == (Flag.BAD_TIME if bad else 0)


@pytest.mark.parametrize("utc", ["1900-01-01T00:00:00", "2199-01-01T00:00:00", "2020-02-30T12:00:00", "noon"])
def test_impossible_dates_are_refused(tmp_path: Path, utc: str) -> None:
    path = write_film(tmp_path / NAME, pixels(1), UTC=utc)
    with pytest.raises(errors.MissingKeywordError, match="UTC must be"):
        raw.read_exposure(path)


def test_cadence_is_tframe_whatever_the_project_says(tmp_path: Path) -> None:
    path = write_film(tmp_path / NAME, pixels(1), PROJECT="2Hz", TFRAME=1.0, EXPTIME1=0.999904)
    assert raw.read_exposure(path).frame_interval_s == 1.0


def test_pseudo_declination_is_for_calibrations(tmp_path: Path) -> None:
    dark = raw.read_exposure(write_film(tmp_path / "d.fits", pixels(1), DATA_TYP="DARK", DEC="+119:00:00"))
    assert dark.kind == "dark"
    assert math.isnan(dark.dec)
    flat = raw.read_exposure(write_film(tmp_path / "f.fits", pixels(1), DATA_TYP="FLAT", RA=None, DEC=None))
    assert flat.kind == "flat"
    with pytest.raises(errors.MissingKeywordError, match="DEC in"):
        raw.read_exposure(write_film(tmp_path / "o.fits", pixels(1), DEC="+119:00:00"))


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"TFRAME": None, "EXP_ID": None, "RA": None}, "lacks the keywords EXP_ID, TFRAME, RA"),
        ({"UTC": "2020-02-30T00:00:00"}, "UTC must be a UTC date"),
        ({"DET_ID": 117}, "no detector 117"),
        ({"DATA_TYP": "BIAS"}, "OBJECT, DARK or FLAT"),
        ({"TFRAME": "fast"}, "TFRAME must be a number"),
        ({"TFRAME": "nan"}, "TFRAME must be a number"),
        ({"TFRAME": 0.5, "EXPTIME1": 0.999904}, "EXPTIME1 <= TFRAME"),
        ({"RA": "20:99:00"}, "RA must be sexagesimal"),
        ({"GAIN": -1.0}, "gain must be positive"),
    ],
)
def test_bad_keywords_are_named(tmp_path: Path, keywords: dict[str, object], words: str) -> None:
    path = write_film(tmp_path / NAME, pixels(1), **keywords)
    with pytest.raises(errors.MissingKeywordError, match=words) as caught:
        raw.open_film(path)
    assert NAME in str(caught.value)


@pytest.mark.parametrize("adu", [pixels(1)[:, :, :2100], pixels(1)[0], pixels(1).astype(np.int32)])
def test_other_shapes_are_refused(tmp_path: Path, adu: np.ndarray) -> None:
    with pytest.raises(errors.FilmShapeError, match="expected a film of N frames"):
        raw.read_exposure(write_film(tmp_path / NAME, adu))


@pytest.mark.parametrize("content", [b"", b"GIF89a" * 1000, b"SIMPLE  = but no more" + b" " * 3_000_000])
def test_not_fits(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.fits").write_bytes(content)
    with pytest.raises(errors.NotFitsError, match="not a FITS film"):
        raw.read_exposure(tmp_path / "f.fits")


@pytest.mark.parametrize("pack", ["", "gz", "fz"])
def test_truncated_films(tmp_path: Path, pack: str) -> None:
    path = write_film(tmp_path / "f.fits", pixels(2), pack=pack)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(errors.TruncatedFilmError, match=r"truncated|breaks off"):
        # a gzipped film does not know its length before it is read
        raw.open_film(path).source.read(0, 2)


def test_truncation_says_expected_and_got(tmp_path: Path) -> None:
    path = write_film(tmp_path / "f.fits", pixels(2))
    offset = fits.getheader(path).tostring().__len__()
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(errors.TruncatedFilmError, match=f"expected {offset + 2 * 1128 * 2156 * 2} .* got 1000000"):
        raw.read_exposure(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(errors.TruncatedFilmError, match="got 1000 bytes in block 0"):
        raw.read_exposure(path)


def test_stack_of_ours_is_no_film(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((10, 10), np.float32))]).writeto(tmp_path / "s.fits")
    with pytest.raises(errors.FilmShapeError):
        raw.read_exposure(tmp_path / "s.fits")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError, match="no such film"):
        raw.open_film(tmp_path / "none.fits")


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.ParameterError, match="frames 0 to 0"):
        raw.open_film(write_film(tmp_path / "f.fits", pixels(1))).source.read(0, 2)


def test_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = write_film(tmp_path / "f.fits", pixels(1))
    expected = f"xxh3:{xxhash.xxh3_128_hexdigest(path.read_bytes())}"
    assert raw.checksum(path) == raw.open_film(path).checksum == expected
    assert raw.open_film(path, checksum="known").checksum == "known"


@pytest.mark.parametrize("pack", ["", "gz", "fz"])
def test_a_film_travels_to_another_process(tmp_path: Path, pack: str) -> None:
    film = raw.open_film(write_film(tmp_path / "f.fits", pixels(2), pack=pack))
    block = film.source.read(1, 2).copy()
    message = pickle.dumps(film)
    assert len(message) < 5000  # no pixels
    np.testing.assert_array_equal(pickle.loads(message).source.read(1, 2), block)


def test_find_films(tmp_path: Path) -> None:
    for name in ("b.fits", "sub/a.fits.fz", "sub/deep/c.fits.gz", "note.txt", "d.fits.part"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in raw.find_films(tmp_path)] == ["a.fits.fz", "b.fits", "c.fits.gz"]
    assert [p.name for p in raw.find_films([tmp_path, tmp_path / "b.fits", str(tmp_path / "note.txt")])] == [
        "a.fits.fz", "b.fits", "c.fits.gz", "note.txt",
    ]  # fmt: skip
    with pytest.raises(errors.NotFoundError, match="no such file or directory"):
        raw.find_films([tmp_path / "missing"])
    for name in (".a.fits", ".hidden/h.fits", "e.tmp.fits", "archive/stack.fits"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = raw.find_films(tmp_path, without=tmp_path / "sub" / ".." / "archive")
    assert [p.name for p in found] == ["a.fits.fz", "b.fits", "c.fits.gz"]
    assert raw.find_films([tmp_path / "archive", tmp_path / ".a.fits"], without=tmp_path / "archive") == [
        tmp_path / ".a.fits"
    ]


def test_a_block_in_use_is_not_overwritten_and_memory_is_reused(tmp_path: Path) -> None:
    film = raw.open_film(write_film(tmp_path / "f.fits", pixels(3)))
    kept = [film.source.read(n, n + 1)[0] for n in range(3)]
    for n in range(3):
        np.testing.assert_array_equal(kept[n].view(">i2"), pixels(3)[n])
    del kept
    addresses = set()
    for _ in range(4):
        addresses.add(raw.open_film(film.path, checksum="").source.read(0, 1).ctypes.data)
    assert len(addresses) == 1
