CREATE TABLE probe_paths (
    path BIGINT NOT NULL PRIMARY KEY,
    link TEXT NOT NULL,
    site TEXT NOT NULL,
    probes_per_second DOUBLE PRECISION NOT NULL,
    seen_s BIGINT NOT NULL
);
CREATE TABLE probe_seconds (
    path BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    classes BYTEA NOT NULL,
    PRIMARY KEY (path, start_s)
);
CREATE TABLE probe_minutes (
    path BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    watched_s BIGINT NOT NULL,
    forward_sent BIGINT NOT NULL,
    forward_lost BIGINT NOT NULL,
    forward_good_s BIGINT NOT NULL,
    forward_errored_s BIGINT NOT NULL,
    forward_unavailable_s BIGINT NOT NULL,
    reverse_sent BIGINT NOT NULL,
    reverse_lost BIGINT NOT NULL,
    reverse_good_s BIGINT NOT NULL,
    reverse_errored_s BIGINT NOT NULL,
    reverse_unavailable_s BIGINT NOT NULL,
    round_trip_sent BIGINT NOT NULL,
    round_trip_lost BIGINT NOT NULL,
    round_trip_good_s BIGINT NOT NULL,
    round_trip_errored_s BIGINT NOT NULL,
    round_trip_unavailable_s BIGINT NOT NULL,
    round_trips BYTEA NOT NULL,
    PRIMARY KEY (path, start_s)
);
CREATE TABLE probe_hours (
    path BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    watched_s BIGINT NOT NULL,
    forward_sent BIGINT NOT NULL,
    forward_lost BIGINT NOT NULL,
    forward_good_s BIGINT NOT NULL,
    forward_errored_s BIGINT NOT NULL,
    forward_unavailable_s BIGINT NOT NULL,
    reverse_sent BIGINT NOT NULL,
    reverse_lost BIGINT NOT NULL,
    reverse_good_s BIGINT NOT NULL,
    reverse_errored_s BIGINT NOT NULL,
    reverse_unavailable_s BIGINT NOT NULL,
    round_trip_sent BIGINT NOT NULL,
    round_trip_lost BIGINT NOT NULL,
    round_trip_good_s BIGINT NOT NULL,
    round_trip_errored_s BIGINT NOT NULL,
    round_trip_unavailable_s BIGINT NOT NULL,
    round_trips BYTEA NOT NULL,
    PRIMARY KEY (path, start_s)
);
CREATE TABLE probe_days (
    path BIGINT NOT NULL,
    start_s BIGINT NOT NULL,
    watched_s BIGINT NOT NULL,
    forward_sent BIGINT NOT NULL,
    forward_lost BIGINT NOT NULL,
    forward_good_s BIGINT NOT NULL,
    forward_errored_s BIGINT NOT NULL,
    forward_unavailable_s BIGINT NOT NULL,
    reverse_sent BIGINT NOT NULL,
    reverse_lost BIGINT NOT NULL,
    reverse_good_s BIGINT NOT NULL,
    reverse_errored_s BIGINT NOT NULL,
    reverse_unavailable_s BIGINT NOT NULL,
    round_trip_sent BIGINT NOT NULL,
    round_trip_lost BIGINT NOT NULL,
    round_trip_good_s BIGINT NOT NULL,
    round_trip_errored_s BIGINT NOT NULL,
    round_trip_unavailable_s BIGINT NOT NULL,
    round_trips BYTEA NOT NULL,
    PRIMARY KEY (path, start_s)
);
CREATE TABLE probe_outages (
    path BIGINT NOT NULL,
    way TEXT NOT NULL,
    start_s BIGINT NOT NULL,
    until_s BIGINT NOT NULL,
    ended TEXT NOT NULL,
    sent BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    is_unavailability BIGINT NOT NULL,
    PRIMARY KEY (path, way, start_s)
);
