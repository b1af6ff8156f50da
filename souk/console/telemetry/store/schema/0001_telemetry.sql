-- A start of the system, with a name. `key` tells one start from another.
CREATE TABLE runs (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL UNIQUE,
    began   INTEGER NOT NULL,
    seen    INTEGER NOT NULL
);

-- How far the spans of a process have been read, and how many were pushed out before.
CREATE TABLE rings (
    ring     TEXT PRIMARY KEY,
    process  TEXT NOT NULL,
    position INTEGER NOT NULL,
    lost     INTEGER NOT NULL,
    seen     INTEGER NOT NULL
) WITHOUT ROWID;

-- One row a trace, kept by the triggers below. `owner` is the service whose share of the room it takes: the first one
-- behind the gateway, for a trace that came in there.
CREATE TABLE traces (
    trace_id     TEXT PRIMARY KEY,
    run          INTEGER NOT NULL,
    began        INTEGER NOT NULL,
    ended        INTEGER NOT NULL,
    service      TEXT NOT NULL,
    name         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    owner_began  INTEGER NOT NULL,
    spans        INTEGER NOT NULL,
    errors       INTEGER NOT NULL,
    bytes        INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX traces_by_time ON traces (began);
CREATE INDEX traces_by_owner ON traces (owner, began, bytes);

CREATE TABLE spans (
    trace_id   TEXT NOT NULL,
    span_id    TEXT NOT NULL,
    parent_id  TEXT NOT NULL,
    run        INTEGER NOT NULL,
    process    TEXT NOT NULL,
    service    TEXT NOT NULL,
    name       TEXT NOT NULL,
    kind       INTEGER NOT NULL,
    began      INTEGER NOT NULL,
    took       INTEGER NOT NULL,
    error      TEXT NOT NULL,
    attributes TEXT NOT NULL,
    links      TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;

CREATE TRIGGER span_kept AFTER INSERT ON spans BEGIN
    INSERT INTO traces
        VALUES (new.trace_id, new.run, new.began, new.began + new.took, new.service, new.name, new.service,
                CASE WHEN new.service = 'gateway' THEN 9223372036854775807 ELSE new.began END,
                1, new.error <> '', new.bytes)
    ON CONFLICT (trace_id) DO UPDATE SET
        service = CASE WHEN new.began < traces.began OR (new.began = traces.began AND new.parent_id = '')
                  THEN new.service ELSE traces.service END,
        name = CASE WHEN new.began < traces.began OR (new.began = traces.began AND new.parent_id = '')
               THEN new.name ELSE traces.name END,
        owner = CASE WHEN new.service <> 'gateway' AND new.began < traces.owner_began
                THEN new.service ELSE traces.owner END,
        owner_began = CASE WHEN new.service <> 'gateway' AND new.began < traces.owner_began
                      THEN new.began ELSE traces.owner_began END,
        began = min(traces.began, new.began),
        ended = max(traces.ended, new.began + new.took),
        spans = traces.spans + 1,
        errors = traces.errors + (new.error <> ''),
        bytes = traces.bytes + new.bytes;
END;

-- What a metric is, and one row for each set of labels of each process.
CREATE TABLE metrics (
    name   TEXT PRIMARY KEY,
    type   TEXT NOT NULL,
    help   TEXT NOT NULL,
    bounds TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE processes (
    id       INTEGER PRIMARY KEY,
    epoch    TEXT NOT NULL UNIQUE,
    run      INTEGER NOT NULL,
    process  TEXT NOT NULL,
    service  TEXT NOT NULL,
    began    INTEGER NOT NULL,
    seen     INTEGER NOT NULL
);

CREATE TABLE series (
    id      INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    metric  TEXT NOT NULL,
    labels  TEXT NOT NULL,
    began   INTEGER NOT NULL,
    UNIQUE (metric, process, labels)
);

-- A figure, when it had changed. `counts` are those of a histogram's buckets, each with those below it.
CREATE TABLE points (
    series INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    value  REAL NOT NULL,
    sum    REAL NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (series, at)
) WITHOUT ROWID;
CREATE INDEX points_by_time ON points (at);
