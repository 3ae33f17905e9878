-- The first schema. Numbers in `kind` are those of likewise.domain.Kind; times are milliseconds since 1970.

CREATE TABLE listeners (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused, so nobody inherits what a removed listener left in a cache
    name TEXT NOT NULL UNIQUE,
    storefront TEXT NOT NULL,
    changes INTEGER NOT NULL DEFAULT 0     -- the number of the listener's last change
) STRICT;

-- One row for each item that was ever rated. A listener's rows lie side by side, so that reading one listener's
-- ratings, by item or by change, is reading one range; a second index would double what a write costs.
CREATE TABLE ratings (
    listener INTEGER NOT NULL REFERENCES listeners (id),
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    value INTEGER NOT NULL CHECK (value IN (-1, 0, 1)),  -- 0 is a tombstone: the rating was cleared
    time INTEGER NOT NULL,
    change INTEGER NOT NULL,
    PRIMARY KEY (listener, kind, id)
) STRICT, WITHOUT ROWID;

-- One row for each library id that was ever met. `twin` is the catalog id, of the kind on the other side.
CREATE TABLE library (
    listener INTEGER NOT NULL REFERENCES listeners (id),
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    twin TEXT,
    added INTEGER NOT NULL,
    change INTEGER NOT NULL,                -- orders what was added within one millisecond
    is_dead INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (listener, kind, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX library_by_twin ON library (listener, kind, twin) WHERE twin IS NOT NULL AND NOT is_dead;

CREATE INDEX library_by_age ON library (listener, kind, added, change) WHERE NOT is_dead;

CREATE TABLE developer_keys (
    id TEXT PRIMARY KEY,
    team_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE user_tokens (
    digest BLOB PRIMARY KEY,                -- SHA-256 of the token; the token itself is kept nowhere
    id TEXT NOT NULL UNIQUE,
    listener INTEGER NOT NULL REFERENCES listeners (id),
    team_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX user_tokens_by_listener ON user_tokens (listener);
