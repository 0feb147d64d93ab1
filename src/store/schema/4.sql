CREATE TABLE link_states (
    link TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_ns BIGINT NOT NULL,
    watch TEXT NOT NULL,
    changed_ns BIGINT NOT NULL,
    PRIMARY KEY (link, subject)
);
CREATE TABLE state_events (
    link TEXT NOT NULL,
    subject TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    from_state TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_ns BIGINT NOT NULL,
    first_change TEXT,
    first_ns BIGINT,
    watch TEXT NOT NULL,
    changed_ns BIGINT NOT NULL,
    PRIMARY KEY (link, subject, at_ns)
);
CREATE INDEX state_events_by_time ON state_events (at_ns);
CREATE TABLE watches (
    watch TEXT NOT NULL PRIMARY KEY,
    program TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    links BIGINT NOT NULL,
    ended_ns BIGINT,
    changed_ns BIGINT NOT NULL
);
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    links TEXT NOT NULL,
    since_ns BIGINT NOT NULL,
    seen_ns BIGINT NOT NULL,
    ended_ns BIGINT,
    remark TEXT,
    owner TEXT,
    until_ns BIGINT,
    watch TEXT NOT NULL,
    changed_ns BIGINT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (since_ns);
CREATE TABLE acknowledgements (
    alert TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    owner TEXT NOT NULL,
    until_ns BIGINT NOT NULL,
    by_user TEXT,
    changed_ns BIGINT NOT NULL,
    PRIMARY KEY (alert, at_ns)
);
CREATE TABLE maintenance (
    id TEXT NOT NULL PRIMARY KEY,
    link TEXT NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT,
    by_user TEXT,
    entered_ns BIGINT NOT NULL,
    ended_ns BIGINT,
    ended_by TEXT,
    remark TEXT,
    changed_ns BIGINT NOT NULL
);
CREATE TABLE notes (
    id TEXT NOT NULL PRIMARY KEY,
    link TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    ticket TEXT,
    text TEXT,
    by_user TEXT,
    entered_ns BIGINT NOT NULL,
    changed_ns BIGINT NOT NULL
);
