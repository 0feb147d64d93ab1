CREATE TABLE lease_numbers (
    resource TEXT NOT NULL PRIMARY KEY,
    sequence TEXT NOT NULL,
    number BIGINT NOT NULL
);
CREATE TABLE leases (
    resource TEXT NOT NULL,
    holder TEXT NOT NULL,
    run TEXT NOT NULL,
    who TEXT NOT NULL,
    command TEXT NOT NULL,
    link TEXT NOT NULL,
    since_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    PRIMARY KEY (resource, holder)
);
CREATE INDEX leases_by_holder ON leases (holder);
