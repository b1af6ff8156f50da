-- The generations of each projection that are kept: the one that is read, and while it is rebuilt the next one, too.
CREATE TABLE souk_generation (
    projection TEXT NOT NULL,
    generation BIGINT NOT NULL,
    is_live    BOOLEAN NOT NULL,
    PRIMARY KEY (projection, generation)
);

-- The last rebuild of each projection: how far it is, and which process works on it, under a lease with an epoch.
CREATE TABLE souk_rebuild (
    projection  TEXT PRIMARY KEY,
    generation  BIGINT NOT NULL,
    phase       TEXT NOT NULL,
    position    TEXT NOT NULL,
    done        BIGINT NOT NULL,
    total       BIGINT NOT NULL,
    owner       TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    began_at    BIGINT NOT NULL,
    ended_at    BIGINT
);
