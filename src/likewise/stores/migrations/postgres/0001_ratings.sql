-- The first schema. Numbers in `kind` are those of likewise.domain.Kind: library kinds are 6 to 9, and each one's
-- catalog kind is 5 less. Times are milliseconds since 1970.

CREATE SCHEMA likewise;

CREATE TABLE likewise.schema (
    version integer NOT NULL
);

CREATE SEQUENCE likewise.listener_ids;  -- never reused, so nobody inherits what a removed listener left in a cache

CREATE TABLE likewise.listeners (
    id bigint PRIMARY KEY,
    changes bigint NOT NULL DEFAULT 0   -- the number of the listener's last change
);

-- Names stand apart, so that each can be found, and kept unique, without asking every shard.
CREATE TABLE likewise.names (
    name text COLLATE "C" PRIMARY KEY,
    listener bigint NOT NULL,
    storefront text NOT NULL
);

CREATE TABLE likewise.ratings (
    listener bigint NOT NULL,
    kind smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    value smallint NOT NULL CHECK (value IN (-1, 0, 1)),  -- 0 is a tombstone: the rating was cleared
    time bigint NOT NULL,
    change bigint NOT NULL,
    PRIMARY KEY (listener, kind, id)
);

CREATE TABLE likewise.library (
    listener bigint NOT NULL,
    kind smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    twin text COLLATE "C",
    added bigint NOT NULL,
    change bigint NOT NULL,             -- orders what was added within one millisecond
    is_dead boolean NOT NULL DEFAULT false,
    PRIMARY KEY (listener, kind, id)
);

CREATE UNIQUE INDEX library_by_twin ON likewise.library (listener, kind, twin) WHERE twin IS NOT NULL AND NOT is_dead;

CREATE INDEX library_by_age ON likewise.library (listener, kind, added, change) WHERE NOT is_dead;

CREATE TABLE likewise.developer_keys (
    id text COLLATE "C" PRIMARY KEY,
    team_id text NOT NULL,
    public_key text NOT NULL,
    created bigint NOT NULL,
    revoked bigint
);

-- A token carries its listener's name and storefront, so that one look-up touches one place.
CREATE TABLE likewise.user_tokens (
    digest bytea PRIMARY KEY,           -- SHA-256 of the token; the token itself is kept nowhere
    id text COLLATE "C" NOT NULL,
    listener bigint NOT NULL,
    name text NOT NULL,
    storefront text NOT NULL,
    team_id text NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL,
    revoked bigint
);

CREATE INDEX user_tokens_by_id ON likewise.user_tokens (id);

CREATE INDEX user_tokens_by_listener ON likewise.user_tokens (listener);

-- What follows are the writes. Each is about one listener and begins with that listener's row, which it locks: so one
-- listener's changes are numbered in the order in which they become visible. Each statement in them names the listener.
-- A removed listener makes them return NULL.

-- Set (value) and clear (NULL) ratings; say of each whether it did anything. `onlys` limits clearing to one value.
CREATE FUNCTION likewise.write(
    p_listener bigint, p_kinds smallint[], p_ids text[], p_values smallint[], p_onlys smallint[], p_now bigint
) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    v_before bigint;
    v_change bigint;
    v_done boolean[] := '{}';
    v_kind smallint;
    v_id text;
    v_twin text;
    v_is_dead boolean;
    v_value smallint;
BEGIN
    SELECT changes INTO v_before FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_change := v_before;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        v_kind := p_kinds[i];
        v_id := p_ids[i];
        IF v_kind >= 6 THEN
            SELECT twin, is_dead INTO v_twin, v_is_dead
            FROM likewise.library
            WHERE listener = p_listener AND kind = v_kind AND id = v_id;
            IF NOT FOUND THEN
                IF p_values[i] IS NOT NULL THEN
                    v_change := v_change + 1;
                    INSERT INTO likewise.library (listener, kind, id, added, change)
                    VALUES (p_listener, v_kind, v_id, p_now, v_change);
                END IF;
            ELSIF v_is_dead THEN
                v_done := v_done || false;
                CONTINUE;
            ELSIF v_twin IS NOT NULL THEN
                v_kind := v_kind - 5;
                v_id := v_twin;
            END IF;
        END IF;
        IF p_values[i] IS NULL THEN
            SELECT value INTO v_value
            FROM likewise.ratings
            WHERE listener = p_listener AND kind = v_kind AND id = v_id;
            IF NOT FOUND OR v_value = 0 OR v_value <> p_onlys[i] THEN
                v_done := v_done || false;
                CONTINUE;
            END IF;
        END IF;
        v_change := v_change + 1;
        INSERT INTO likewise.ratings (listener, kind, id, value, time, change)
        VALUES (p_listener, v_kind, v_id, coalesce(p_values[i], 0), p_now, v_change)
        ON CONFLICT (listener, kind, id) DO UPDATE
        SET value = excluded.value, time = excluded.time, change = excluded.change;
        v_done := v_done || true;
    END LOOP;
    IF v_change > v_before THEN
        UPDATE likewise.listeners SET changes = v_change WHERE id = p_listener;
    END IF;
    RETURN v_done;
END $$;

-- Add catalog items under fresh library ids, unless they have one.
CREATE FUNCTION likewise.add(
    p_listener bigint, p_kinds smallint[], p_ids text[], p_twins text[], p_now bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_change bigint;
BEGIN
    SELECT changes INTO v_change FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        PERFORM 1 FROM likewise.library
        WHERE listener = p_listener AND kind = p_kinds[i] AND twin = p_twins[i] AND NOT is_dead;
        IF NOT FOUND THEN
            v_change := v_change + 1;
            INSERT INTO likewise.library (listener, kind, id, twin, added, change)
            VALUES (p_listener, p_kinds[i], p_ids[i], p_twins[i], p_now, v_change);
        END IF;
    END LOOP;
    UPDATE likewise.listeners SET changes = v_change WHERE id = p_listener;
    RETURN true;
END $$;

-- Link a library item to a catalog item. Returns '' when done, 'dead' when the library id is, and otherwise the library
-- id that the catalog item has already.
CREATE FUNCTION likewise.link(
    p_listener bigint, p_kind smallint, p_id text, p_twin text, p_now bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_change bigint;
    v_is_known boolean;
    v_twin text;
    v_is_dead boolean;
    v_other text;
    v_own likewise.ratings;
    v_catalog likewise.ratings;
BEGIN
    SELECT changes INTO v_change FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT twin, is_dead INTO v_twin, v_is_dead
    FROM likewise.library
    WHERE listener = p_listener AND kind = p_kind AND id = p_id;
    v_is_known := FOUND;
    IF v_is_dead THEN
        RETURN 'dead';
    END IF;
    SELECT id INTO v_other
    FROM likewise.library
    WHERE listener = p_listener AND kind = p_kind AND twin = p_twin AND NOT is_dead;
    IF v_other <> p_id THEN
        RETURN v_other;
    END IF;
    v_change := v_change + 1;
    IF NOT v_is_known THEN
        INSERT INTO likewise.library (listener, kind, id, twin, added, change)
        VALUES (p_listener, p_kind, p_id, p_twin, p_now, v_change);
    ELSE
        UPDATE likewise.library SET twin = p_twin WHERE listener = p_listener AND kind = p_kind AND id = p_id;
    END IF;
    IF v_is_known AND v_twin IS NULL THEN
        -- An upload's rating becomes that of its catalog item, unless that has one which is as new or newer.
        SELECT * INTO v_own FROM likewise.ratings
        WHERE listener = p_listener AND kind = p_kind AND id = p_id AND value <> 0;
        IF FOUND THEN
            SELECT * INTO v_catalog FROM likewise.ratings
            WHERE listener = p_listener AND kind = p_kind - 5 AND id = p_twin AND value <> 0;
            IF NOT FOUND OR v_own.time > v_catalog.time THEN
                v_change := v_change + 1;
                INSERT INTO likewise.ratings (listener, kind, id, value, time, change)
                VALUES (p_listener, p_kind - 5, p_twin, v_own.value, v_own.time, v_change)
                ON CONFLICT (listener, kind, id) DO UPDATE
                SET value = excluded.value, time = excluded.time, change = excluded.change;
            END IF;
            v_change := v_change + 1;
            UPDATE likewise.ratings SET value = 0, time = p_now, change = v_change
            WHERE listener = p_listener AND kind = p_kind AND id = p_id;
        END IF;
    END IF;
    UPDATE likewise.listeners SET changes = v_change WHERE id = p_listener;
    RETURN '';
END $$;

-- Remove an item from the library; say whether it was there. An upload's rating goes with it.
CREATE FUNCTION likewise.unlink(p_listener bigint, p_kind smallint, p_id text, p_now bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_change bigint;
    v_twin text;
BEGIN
    SELECT changes INTO v_change FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    SELECT twin INTO v_twin
    FROM likewise.library
    WHERE listener = p_listener AND kind = p_kind AND id = p_id AND NOT is_dead;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_twin IS NULL THEN
        v_change := v_change + 1;
        UPDATE likewise.ratings SET value = 0, time = p_now, change = v_change
        WHERE listener = p_listener AND kind = p_kind AND id = p_id AND value <> 0;
    END IF;
    v_change := v_change + 1;
    UPDATE likewise.library SET is_dead = true, change = v_change
    WHERE listener = p_listener AND kind = p_kind AND id = p_id;
    UPDATE likewise.listeners SET changes = v_change WHERE id = p_listener;
    RETURN true;
END $$;
