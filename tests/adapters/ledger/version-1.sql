-- The ledger, version 1. Every CHECK and every unique index forbids something that must never happen.
-- Times are ISO 8601 in UTC with microseconds, so that they sort as text.

CREATE TABLE deliveries (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- people say "delivery 12": a number is never used twice
  -- a ZIP; or what others put into XNAT and a person has told us to carry on: from its prearchive or its archive
  kind     TEXT NOT NULL DEFAULT 'zip' CHECK (kind IN ('zip', 'prearchive', 'archive')),
  name     TEXT NOT NULL,                      -- path below the drop folder, as it was dropped; else XNAT's name for it
  project  TEXT NOT NULL,
  identity TEXT NOT NULL,                      -- device:inode:size:mtime, to know the file again; else its path in XNAT
  state    TEXT NOT NULL CHECK (state IN ('arriving', 'taken', 'rejected', 'duplicate', 'finished', 'withdrawn')),
  openings INTEGER NOT NULL DEFAULT 0,         -- how often opening it was begun
  sha256   TEXT,
  size     INTEGER,
  as_it_is INTEGER NOT NULL DEFAULT 0 CHECK (as_it_is IN (0, 1)),
  arrived  TEXT NOT NULL,
  ended    TEXT,
  resting  TEXT,                               -- where its ZIP is to lie in the end, below the root
  why      TEXT,
  detail   TEXT,
  advice   TEXT,
  -- what is taken has been read to its end
  CHECK (state NOT IN ('taken', 'finished', 'duplicate') OR (kind = 'zip') = (sha256 IS NOT NULL)),
  -- what has ended says when
  CHECK ((ended IS NOT NULL) = (state IN ('rejected', 'duplicate', 'finished', 'withdrawn')))
) STRICT;

-- the same bytes for the same project are on their way at most once
CREATE UNIQUE INDEX one_open_delivery ON deliveries (project, sha256) WHERE state = 'taken';
-- and so is what lies in XNAT
CREATE UNIQUE INDEX one_open_find ON deliveries (identity) WHERE state = 'taken' AND kind <> 'zip';

CREATE TABLE studies (
  key         INTEGER PRIMARY KEY,
  delivery    INTEGER NOT NULL REFERENCES deliveries,
  number      INTEGER NOT NULL,
  project     TEXT NOT NULL,
  study_uid   TEXT NOT NULL,
  server_uid  TEXT,                            -- what the site made of the UID, once seen
  patient_name TEXT NOT NULL,
  patient_id  TEXT NOT NULL,
  birth_date  TEXT NOT NULL,
  age         TEXT NOT NULL,
  sex         TEXT NOT NULL,
  date        TEXT NOT NULL,
  time        TEXT NOT NULL,
  modalities  TEXT NOT NULL,                   -- JSON list
  progress    TEXT NOT NULL CHECK (progress IN ('received', 'uploaded', 'archived', 'complete')),
  standing    TEXT NOT NULL CHECK (standing IN ('ready', 'busy', 'waiting', 'held', 'done')),
  attempts    INTEGER NOT NULL DEFAULT 0,
  recoveries  INTEGER NOT NULL DEFAULT 0,      -- times found busy at start-up
  in_doubt    INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
  since       TEXT,                            -- since when XNAT has said "not yet"
  due         TEXT,
  why         TEXT,
  detail      TEXT,
  advice      TEXT,
  subject     TEXT,
  subject_key TEXT,                            -- case-folded: XNAT finds subjects whatever their case (F199)
  label       TEXT,
  session     TEXT,                            -- accession ID of the archived session
  received    TEXT NOT NULL,
  changed     TEXT NOT NULL,
  UNIQUE (delivery, number),
  UNIQUE (delivery, study_uid),
  -- what is complete is done, and nothing else is
  CHECK ((progress = 'complete') = (standing = 'done')),
  -- what is archived has a session that proves it
  CHECK (progress NOT IN ('archived', 'complete') OR session IS NOT NULL),
  -- what is held says why
  CHECK (standing <> 'held' OR why IS NOT NULL),
  -- what is known under a label is known in every case
  CHECK (subject IS NULL OR subject_key IS NOT NULL)
) STRICT;

-- XNAT breaks when two sessions create one subject at once (F38): one of a subject is archived or described at a time
CREATE UNIQUE INDEX one_busy_subject ON studies (project, subject_key)
  WHERE standing = 'busy' AND progress IN ('uploaded', 'archived') AND subject_key IS NOT NULL;
-- one study is worked on by one worker at a time, whichever ZIP it came in
CREATE UNIQUE INDEX one_busy_study ON studies (project, study_uid) WHERE standing = 'busy';
CREATE INDEX by_study_uid ON studies (project, study_uid);
CREATE INDEX not_done ON studies (standing, due) WHERE standing <> 'done';

CREATE TABLE series (
  study    INTEGER NOT NULL REFERENCES studies,
  uid      TEXT NOT NULL,
  number   TEXT NOT NULL,
  modality TEXT NOT NULL,
  image    INTEGER NOT NULL CHECK (image IN (0, 1)),
  left_out INTEGER NOT NULL DEFAULT 0 CHECK (left_out IN (0, 1)),
  files    INTEGER,                            -- how many XNAT held when it was found there; of a ZIP they are counted
  PRIMARY KEY (study, uid),
  -- an image series is never left out: it is held until a person has decided
  CHECK (left_out = 0 OR image = 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
  study   INTEGER NOT NULL REFERENCES studies,
  sop_uid TEXT NOT NULL,
  series  TEXT NOT NULL,
  size    INTEGER NOT NULL,
  crc     INTEGER NOT NULL,
  member  INTEGER NOT NULL,
  place   INTEGER REFERENCES places,           -- where it was sent last; none: XNAT had it already
  PRIMARY KEY (study, sop_uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE places (
  id        INTEGER PRIMARY KEY,
  study     INTEGER NOT NULL REFERENCES studies,
  project   TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  folder    TEXT NOT NULL,
  chosen    TEXT NOT NULL,
  spoke     TEXT,                              -- when the import was begun
  ended     TEXT,
  mixed     INTEGER NOT NULL DEFAULT 0 CHECK (mixed IN (0, 1)),
  missing   TEXT NOT NULL DEFAULT '[]',        -- JSON list of the whole series that did not arrive there
  -- a place is ours alone and used once
  UNIQUE (project, timestamp, folder)
) STRICT;

-- a study has one current place; older ones stay on record
CREATE UNIQUE INDEX one_current_place ON places (study) WHERE ended IS NULL;

-- who stood behind a subject label when we first used it: two people never share one
CREATE TABLE people (
  project     TEXT NOT NULL,
  subject_key TEXT NOT NULL,
  name        TEXT NOT NULL,
  id          TEXT NOT NULL,
  PRIMARY KEY (project, subject_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id       INTEGER PRIMARY KEY,
  at       TEXT NOT NULL,
  delivery INTEGER NOT NULL REFERENCES deliveries,
  study    INTEGER REFERENCES studies,
  event    TEXT NOT NULL,
  progress TEXT,
  standing TEXT,
  why      TEXT,
  detail   TEXT
) STRICT;
CREATE INDEX events_of_delivery ON events (delivery);

CREATE TABLE gates (
  scope    TEXT PRIMARY KEY,                   -- empty for the server, else the project
  until    TEXT,
  trial    INTEGER NOT NULL CHECK (trial IN (0, 1)),
  login    INTEGER NOT NULL CHECK (login IN (0, 1)),
  why      TEXT NOT NULL,
  advice   TEXT NOT NULL,
  strikes  INTEGER NOT NULL,
  refusals TEXT NOT NULL                       -- JSON list of times
) STRICT;

-- what lies in the drop folder and is not taken, as of the last sweep
CREATE TABLE ignored (
  name   TEXT PRIMARY KEY,
  why    TEXT NOT NULL,
  advice TEXT NOT NULL                         -- empty: nothing needs to be done about it
) STRICT, WITHOUT ROWID;

-- every share that was ever asked for: remembered before it is asked for, ours once it was seen on the server
CREATE TABLE shares (
  destination TEXT NOT NULL,
  id          TEXT NOT NULL,                   -- accession ID of the subject or session
  label       TEXT NOT NULL,                   -- in the destination
  fate        TEXT NOT NULL CHECK (fate IN ('intended', 'made', 'removed', 'refused')),
  asked_by    TEXT NOT NULL,                   -- JSON list of the keys of the rows that asked for it
  tries       INTEGER NOT NULL DEFAULT 0,
  due         TEXT,
  basis       TEXT NOT NULL DEFAULT '',        -- digest of what the server showed when it refused
  intended    TEXT NOT NULL,
  seen        TEXT,                            -- when it was first seen on the server
  changed     TEXT NOT NULL,
  why         TEXT NOT NULL DEFAULT '',
  detail      TEXT NOT NULL DEFAULT '',
  advice      TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (destination, id),
  -- what is ours was seen, and only what was ours can be taken back
  CHECK ((fate IN ('made', 'removed')) = (seen IS NOT NULL)),
  -- what is refused says why
  CHECK (fate <> 'refused' OR why <> '')
) STRICT, WITHOUT ROWID;
CREATE INDEX shares_due ON shares (due) WHERE fate = 'intended';

-- the share tables that lie in the folder
CREATE TABLE share_tables (
  name    TEXT PRIMARY KEY,
  checked TEXT NOT NULL,                       -- when its rows were last compared with the server
  why     TEXT NOT NULL DEFAULT '',            -- why it cannot be read
  advice  TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- what is true of their rows
CREATE TABLE share_rows (
  name     TEXT NOT NULL REFERENCES share_tables ON DELETE CASCADE,
  key      TEXT NOT NULL,                      -- all that the row asks for: changed, it is another row
  state    TEXT NOT NULL CHECK (state IN ('already there', 'shared', 'removed by someone', 'waiting', 'failed')),
  sessions INTEGER NOT NULL,
  since    TEXT NOT NULL,
  PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;

-- what ever became of rows: kept when the table is gone
CREATE TABLE share_events (
  id       INTEGER PRIMARY KEY,
  at       TEXT NOT NULL,
  name     TEXT NOT NULL,                      -- of the table
  line     INTEGER NOT NULL,
  key      TEXT NOT NULL,
  state    TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  reason   TEXT NOT NULL
) STRICT;
