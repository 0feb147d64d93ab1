CREATE TABLE runs (
    run TEXT NOT NULL PRIMARY KEY,
    class TEXT NOT NULL,
    state TEXT NOT NULL,
    verdict TEXT,
    reason TEXT,
    command TEXT NOT NULL,
    plan_file TEXT,
    plan_sha256 TEXT,
    program TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    ended_ns BIGINT,
    due_ns BIGINT,
    recorded_ns BIGINT NOT NULL
);
CREATE INDEX runs_by_start ON runs (started_ns);
CREATE TABLE run_links (
    run TEXT NOT NULL,
    place BIGINT NOT NULL,
    site TEXT NOT NULL,
    label TEXT NOT NULL,
    link TEXT,
    circuit TEXT,
    provider TEXT,
    verdict TEXT,
    why TEXT,
    started_ns BIGINT,
    ended_ns BIGINT,
    PRIMARY KEY (run, place, site)
);
CREATE INDEX run_links_by_label ON run_links (label, run);
CREATE INDEX run_links_by_circuit ON run_links (circuit, run);
CREATE TABLE run_trials (
    run TEXT NOT NULL,
    place BIGINT NOT NULL,
    site TEXT NOT NULL,
    trial BIGINT NOT NULL,
    direction TEXT NOT NULL,
    load TEXT NOT NULL,
    status TEXT NOT NULL,
    verdict TEXT,
    reason TEXT,
    started_ns BIGINT,
    duration_ns BIGINT NOT NULL,
    offered_bit_s BIGINT,
    carried_bit_s BIGINT,
    goodput_bit_s BIGINT,
    required_bit_s BIGINT,
    headroom_ratio DOUBLE PRECISION,
    sent BIGINT,
    received BIGINT,
    lost BIGINT,
    loss_ratio DOUBLE PRECISION,
    outages BIGINT,
    longest_outage_s DOUBLE PRECISION,
    variation_us DOUBLE PRECISION,
    delay_min_us DOUBLE PRECISION,
    delay_p50_us DOUBLE PRECISION,
    delay_p95_us DOUBLE PRECISION,
    delay_p99_us DOUBLE PRECISION,
    delay_max_us DOUBLE PRECISION,
    PRIMARY KEY (run, place, site, trial, direction)
);
CREATE INDEX run_trials_by_start ON run_trials (started_ns);
CREATE TABLE run_findings (
    run TEXT NOT NULL,
    number BIGINT NOT NULL,
    place BIGINT NOT NULL,
    site TEXT NOT NULL,
    trial BIGINT,
    direction TEXT NOT NULL,
    metric TEXT NOT NULL,
    verdict TEXT NOT NULL,
    bound DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION,
    low DOUBLE PRECISION,
    high DOUBLE PRECISION,
    unit TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, number)
);
CREATE TABLE run_caveats (
    run TEXT NOT NULL,
    number BIGINT NOT NULL,
    place BIGINT NOT NULL,
    site TEXT NOT NULL,
    trial BIGINT,
    direction TEXT,
    metrics TEXT NOT NULL,
    bias TEXT NOT NULL,
    caveat TEXT NOT NULL,
    PRIMARY KEY (run, number)
);
CREATE TABLE run_paths (
    run TEXT NOT NULL,
    place BIGINT NOT NULL,
    site TEXT NOT NULL,
    driver_address TEXT,
    agent_address TEXT,
    agent_program TEXT,
    driver_key TEXT,
    agent_key TEXT,
    path_mtu_octets BIGINT,
    tried_octets BIGINT,
    PRIMARY KEY (run, place, site)
);
CREATE TABLE run_people (
    run TEXT NOT NULL,
    place TEXT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (run, place)
);
CREATE TABLE documents (
    run TEXT NOT NULL PRIMARY KEY,
    sha256 TEXT NOT NULL,
    gzip BYTEA NOT NULL
);
CREATE TABLE audit (
    run TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    action TEXT NOT NULL,
    by_user TEXT,
    reason TEXT,
    PRIMARY KEY (run, at_ns, action)
);
