-- The registry's tables as archives had them before there were revisions.
CREATE TABLE exposures (
    exposure_id BIGINT NOT NULL,
    night VARCHAR NOT NULL,
    mjd_start FLOAT NOT NULL,
    n_frames INTEGER NOT NULL,
    frame_interval FLOAT NOT NULL,
    ra FLOAT,
    dec FLOAT,
    object VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    observer VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    flags INTEGER NOT NULL,
    PRIMARY KEY (exposure_id)
);

CREATE INDEX ix_exposures_night ON exposures (night);

CREATE TABLE refcats (
    checksum VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    n_stars BIGINT NOT NULL,
    epoch FLOAT,
    registered VARCHAR NOT NULL,
    PRIMARY KEY (checksum)
);

CREATE TABLE films (
    film_checksum VARCHAR NOT NULL,
    path VARCHAR,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    exposure_id BIGINT NOT NULL,
    detector_id INTEGER NOT NULL,
    night VARCHAR NOT NULL,
    ra FLOAT,
    dec FLOAT,
    cell INTEGER,
    PRIMARY KEY (film_checksum),
    FOREIGN KEY(exposure_id) REFERENCES exposures (exposure_id)
);

CREATE INDEX ix_films_path ON films (path);

CREATE INDEX ix_films_kind_night ON films (kind, night);

CREATE INDEX ix_films_exposure_id ON films (exposure_id);

CREATE INDEX ix_films_kind_cell ON films (kind, cell);

CREATE TABLE masters (
    master_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    exposure_id BIGINT NOT NULL,
    detector_id INTEGER NOT NULL,
    night VARCHAR NOT NULL,
    mjd FLOAT NOT NULL,
    n_frames INTEGER NOT NULL,
    exptime FLOAT NOT NULL,
    exptime1 FLOAT NOT NULL,
    temperature FLOAT,
    gain FLOAT NOT NULL,
    gain_mode VARCHAR NOT NULL,
    level FLOAT NOT NULL,
    rms FLOAT NOT NULL,
    created VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    film_checksum VARCHAR NOT NULL,
    dark_id VARCHAR,
    checksum VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (master_id),
    FOREIGN KEY(exposure_id) REFERENCES exposures (exposure_id)
);

CREATE INDEX ix_masters_exposure_id ON masters (exposure_id);

CREATE INDEX ix_masters_film_checksum ON masters (film_checksum);

CREATE INDEX ix_masters_detector_id ON masters (detector_id);

CREATE TABLE reductions (
    reduction_id BIGINT NOT NULL,
    exposure_id BIGINT NOT NULL,
    detector_id INTEGER NOT NULL,
    night VARCHAR NOT NULL,
    started VARCHAR NOT NULL,
    finished VARCHAR,
    status VARCHAR NOT NULL,
    error TEXT,
    error_kind VARCHAR,
    dark_id VARCHAR,
    flat_id VARCHAR,
    refcat VARCHAR,
    refcat_checksum VARCHAR,
    film_checksum VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL,
    code_dirty BOOLEAN NOT NULL,
    parameters TEXT NOT NULL,
    environment TEXT NOT NULL,
    superseded_by BIGINT,
    owner_host VARCHAR NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner_started VARCHAR NOT NULL,
    PRIMARY KEY (reduction_id),
    FOREIGN KEY(exposure_id) REFERENCES exposures (exposure_id),
    FOREIGN KEY(film_checksum) REFERENCES films (film_checksum)
);

CREATE INDEX ix_reductions_exposure_id ON reductions (exposure_id);

CREATE INDEX ix_reductions_night ON reductions (night);

CREATE INDEX ix_reductions_status ON reductions (status);

CREATE INDEX ix_reductions_film_checksum ON reductions (film_checksum);

CREATE TABLE products (
    product_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    checksum VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    n_rows BIGINT,
    night VARCHAR NOT NULL,
    exposure_id BIGINT NOT NULL,
    detector_id INTEGER NOT NULL,
    mjd FLOAT NOT NULL,
    ra FLOAT,
    dec FLOAT,
    cell INTEGER,
    footprint TEXT NOT NULL,
    reduction_id BIGINT NOT NULL,
    PRIMARY KEY (product_id),
    FOREIGN KEY(exposure_id) REFERENCES exposures (exposure_id),
    FOREIGN KEY(reduction_id) REFERENCES reductions (reduction_id)
);

CREATE INDEX ix_products_kind_night ON products (kind, night);

CREATE INDEX ix_products_reduction_id ON products (reduction_id);

CREATE INDEX ix_products_kind_cell ON products (kind, cell);

CREATE INDEX ix_products_exposure_id ON products (exposure_id);

CREATE TABLE stacks (
    product_id VARCHAR NOT NULL,
    exptime FLOAT,
    zeropoint FLOAT,
    zeropoint_err FLOAT,
    fwhm FLOAT,
    sky FLOAT,
    depth FLOAT,
    astrometric_rms FLOAT,
    n_stars INTEGER NOT NULL,
    PRIMARY KEY (product_id),
    FOREIGN KEY(product_id) REFERENCES products (product_id)
);
