CREATE TABLE load_stops (
    at_ns BIGINT NOT NULL,
    link TEXT NOT NULL,
    reason TEXT NOT NULL,
    by_user TEXT NOT NULL,
    host TEXT NOT NULL,
    lifted_ns BIGINT,
    lifted_by TEXT,
    PRIMARY KEY (at_ns, link)
);
