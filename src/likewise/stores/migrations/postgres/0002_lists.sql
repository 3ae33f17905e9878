-- What lists, the change feed, imports and the names of items need. Ratings are as they were.

-- The largest number of a change whose tombstone was removed: nobody can follow the changes from before it.
ALTER TABLE likewise.listeners ADD COLUMN forgotten bigint NOT NULL DEFAULT 0;

-- Drawn with each listener, so that a number of another database, or of another's changes, is known for what it is.
ALTER TABLE likewise.listeners ADD COLUMN era bigint NOT NULL DEFAULT floor(random() * 9007199254740992)::bigint;

-- What items are called, and how other catalogs call them. `listener` is 0 for items of the catalog; what an upload is
-- called is its owner's business. The keys are those of likewise.matching.
CREATE TABLE likewise.item_names (
    listener bigint NOT NULL,
    kind smallint NOT NULL,
    id text COLLATE "C" NOT NULL,
    title text,
    artist text,
    album text,
    isrc text COLLATE "C",
    musicbrainz_id text COLLATE "C",
    title_key text COLLATE "C",
    artist_key text COLLATE "C",
    PRIMARY KEY (listener, kind, id)
);

CREATE INDEX item_names_by_isrc ON likewise.item_names (listener, isrc) WHERE isrc IS NOT NULL;

CREATE INDEX item_names_by_musicbrainz_id ON likewise.item_names (listener, musicbrainz_id)
WHERE musicbrainz_id IS NOT NULL;

CREATE INDEX item_names_by_match_key ON likewise.item_names (listener, (title_key || E'\n' || artist_key))
WHERE title_key IS NOT NULL AND artist_key IS NOT NULL;

-- What is done now and then, by whichever worker comes first, and when it was done last.
CREATE TABLE likewise.chores (
    name text COLLATE "C" PRIMARY KEY,
    time bigint NOT NULL
);

-- Set (value) and clear (NULL) ratings, each at its own time (NULL: now) and unless what is stored is to be kept
-- (likewise.domain.Keep); say of each whether it did anything. An array that is NULL has NULL for each. The function of
-- this name with fewer parameters stays for workers of an older Likewise, while a service is upgraded.
CREATE FUNCTION likewise.write(
    p_listener bigint, p_kinds smallint[], p_ids text[], p_values smallint[], p_onlys smallint[],
    p_times bigint[], p_keeps smallint[], p_now bigint
) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    v_before bigint;
    v_change bigint;
    v_done boolean[] := '{}';
    v_kind smallint;
    v_id text;
    v_twin text;
    v_is_dead boolean;
    v_time bigint;
    v_stored_value smallint;
    v_stored_time bigint;
BEGIN
    SELECT changes INTO v_before FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_change := v_before;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        v_kind := p_kinds[i];
        v_id := p_ids[i];
        v_time := coalesce(p_times[i], p_now);
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
        IF p_values[i] IS NULL OR p_times[i] IS NOT NULL OR p_keeps[i] IS NOT NULL THEN
            SELECT value, time INTO v_stored_value, v_stored_time
            FROM likewise.ratings
            WHERE listener = p_listener AND kind = v_kind AND id = v_id;
            IF FOUND THEN
                IF (p_values[i] IS NULL AND (v_stored_value = 0 OR v_stored_value <> p_onlys[i]))
                    OR (p_times[i] = v_stored_time AND p_values[i] = v_stored_value)
                    OR (p_keeps[i] = 1 AND v_stored_time >= v_time)
                    OR (p_keeps[i] = 2 AND v_stored_value <> 0)
                THEN
                    v_done := v_done || false;
                    CONTINUE;
                END IF;
            ELSIF p_values[i] IS NULL THEN
                v_done := v_done || false;
                CONTINUE;
            END IF;
        END IF;
        v_change := v_change + 1;
        INSERT INTO likewise.ratings (listener, kind, id, value, time, change)
        VALUES (p_listener, v_kind, v_id, coalesce(p_values[i], 0), v_time, v_change)
        ON CONFLICT (listener, kind, id) DO UPDATE
        SET value = excluded.value, time = excluded.time, change = excluded.change;
        v_done := v_done || true;
    END LOOP;
    IF v_change > v_before THEN
        UPDATE likewise.listeners SET changes = v_change WHERE id = p_listener;
    END IF;
    RETURN v_done;
END $$;

-- Remove tombstones, unless they have changed since they were found; say how many.
CREATE FUNCTION likewise.forget(p_listener bigint, p_kinds smallint[], p_ids text[], p_changes bigint[])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_gone bigint := 0;
    v_last bigint := 0;
BEGIN
    PERFORM 1 FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        DELETE FROM likewise.ratings
        WHERE listener = p_listener AND kind = p_kinds[i] AND id = p_ids[i] AND value = 0 AND change = p_changes[i];
        IF FOUND THEN
            v_gone := v_gone + 1;
            v_last := greatest(v_last, p_changes[i]);
        END IF;
    END LOOP;
    UPDATE likewise.listeners SET forgotten = greatest(forgotten, v_last) WHERE id = p_listener;
    RETURN v_gone;
END $$;

-- Keep what is said about items, each of them once: of the catalog (listener 0) or of one listener's library. A fact
-- replaces what was known, a NULL nothing. A removed listener makes it return NULL.
CREATE FUNCTION likewise.learn(
    p_listener bigint, p_kinds smallint[], p_ids text[], p_titles text[], p_artists text[], p_albums text[],
    p_isrcs text[], p_musicbrainz_ids text[], p_title_keys text[], p_artist_keys text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_listener <> 0 THEN
        PERFORM 1 FROM likewise.listeners WHERE id = p_listener FOR UPDATE;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        INSERT INTO likewise.item_names AS known (
            listener, kind, id, title, artist, album, isrc, musicbrainz_id, title_key, artist_key
        ) VALUES (
            p_listener, p_kinds[i], p_ids[i], p_titles[i], p_artists[i], p_albums[i],
            p_isrcs[i], p_musicbrainz_ids[i], p_title_keys[i], p_artist_keys[i]
        )
        ON CONFLICT (listener, kind, id) DO UPDATE
        SET title = coalesce(excluded.title, known.title),
            artist = coalesce(excluded.artist, known.artist),
            album = coalesce(excluded.album, known.album),
            isrc = coalesce(excluded.isrc, known.isrc),
            musicbrainz_id = coalesce(excluded.musicbrainz_id, known.musicbrainz_id),
            title_key = coalesce(excluded.title_key, known.title_key),
            artist_key = coalesce(excluded.artist_key, known.artist_key)
        WHERE (excluded.title, excluded.artist, excluded.album, excluded.isrc, excluded.musicbrainz_id)
            IS DISTINCT FROM (known.title, known.artist, known.album, known.isrc, known.musicbrainz_id);
    END LOOP;
    RETURN true;
END $$;
