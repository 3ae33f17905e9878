-- What lists, the change feed and the names of items need. Ratings are as they were.

-- The largest number of a change whose tombstone was removed: nobody can follow the changes from before it.
ALTER TABLE listeners ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;

-- Drawn with each listener, so that a number of another database, or of another's changes, is known for what it is.
ALTER TABLE listeners ADD COLUMN era INTEGER NOT NULL DEFAULT 0;

UPDATE listeners SET era = abs(random() % 9007199254740992);

-- A column that is added can have no such default.
CREATE TRIGGER listeners_era AFTER INSERT ON listeners WHEN new.era = 0
BEGIN
    UPDATE listeners SET era = abs(random() % 9007199254740992) WHERE id = new.id;
END;

-- What items are called, and how other catalogs call them. `listener` is 0 for items of the catalog; what an upload is
-- called is its owner's business. The keys are those of likewise.matching.
CREATE TABLE item_names (
    listener INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    title TEXT,
    artist TEXT,
    album TEXT,
    isrc TEXT,
    musicbrainz_id TEXT,
    title_key TEXT,
    artist_key TEXT,
    PRIMARY KEY (listener, kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX item_names_by_isrc ON item_names (listener, isrc) WHERE isrc IS NOT NULL;

CREATE INDEX item_names_by_musicbrainz_id ON item_names (listener, musicbrainz_id) WHERE musicbrainz_id IS NOT NULL;

CREATE INDEX item_names_by_match_key ON item_names (listener, title_key || char(10) || artist_key)
WHERE title_key IS NOT NULL AND artist_key IS NOT NULL;

-- What is done now and then, by whichever worker comes first, and when it was done last.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
