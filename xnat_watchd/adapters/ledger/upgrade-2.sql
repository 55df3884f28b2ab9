-- From version 1 to 2: skipped and unwanted studies, generations, accepted series, joins, pauses, retention.
-- SQLite cannot change a CHECK: such a table is made anew (lang_altertable, 7). References to it hold by its name.

CREATE TABLE new_deliveries (
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
  deleted  TEXT,                               -- when its ZIP, which lay there, was deleted by the rules of retention
  settled  TEXT,                               -- when a person said that nothing more is to come of it
  -- what is taken has been read to its end
  CHECK (state NOT IN ('taken', 'finished', 'duplicate') OR (kind = 'zip') = (sha256 IS NOT NULL)),
  -- what has ended says when
  CHECK ((ended IS NOT NULL) = (state IN ('rejected', 'duplicate', 'finished', 'withdrawn'))),
  -- only what has come to rest is deleted
  CHECK (deleted IS NULL OR (state IN ('duplicate', 'finished') AND resting IS NOT NULL)),
  -- only what was rejected is settled
  CHECK (settled IS NULL OR state = 'rejected')
) STRICT;

INSERT INTO new_deliveries (
  id, kind, name, project, identity, state, openings, sha256, size, as_it_is, arrived, ended, resting, why, detail, advice
) SELECT
  id, kind, name, project, identity, state, openings, sha256, size, as_it_is, arrived, ended, resting, why, detail, advice
FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
-- the same bytes for the same project are on their way at most once
CREATE UNIQUE INDEX one_open_delivery ON deliveries (project, sha256) WHERE state = 'taken';
-- and so is what lies in XNAT
CREATE UNIQUE INDEX one_open_find ON deliveries (identity) WHERE state = 'taken' AND kind <> 'zip';
CREATE INDEX deliveries_by_state ON deliveries (state);
CREATE INDEX deliveries_by_bytes ON deliveries (project, sha256);


CREATE TABLE new_studies (
  key         INTEGER PRIMARY KEY,
  delivery    INTEGER NOT NULL REFERENCES deliveries,
  number      INTEGER NOT NULL,
  project     TEXT NOT NULL,
  study_uid   TEXT NOT NULL,                   -- empty: what belongs to no study of the ZIP
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
  standing    TEXT NOT NULL CHECK (standing IN ('ready', 'busy', 'waiting', 'held', 'done', 'skipped')),
  generation  INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),  -- one more each time a person had it sent again
  unwanted    TEXT,                            -- why a person wants it no more: nothing but its end is left to do
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
  -- what is skipped was not wanted
  CHECK (standing <> 'skipped' OR unwanted IS NOT NULL),
  -- what is archived has a session that proves it
  CHECK (progress NOT IN ('archived', 'complete') OR session IS NOT NULL),
  -- what is held says why
  CHECK (standing <> 'held' OR why IS NOT NULL),
  -- what is known under a label is known in every case
  CHECK (subject IS NULL OR subject_key IS NOT NULL)
) STRICT;

INSERT INTO new_studies (
  key, delivery, number, project, study_uid, server_uid, patient_name, patient_id, birth_date, age, sex, date, time,
  modalities, progress, standing, attempts, recoveries, in_doubt, since, due, why, detail, advice, subject, subject_key,
  label, session, received, changed
) SELECT
  key, delivery, number, project, study_uid, server_uid, patient_name, patient_id, birth_date, age, sex, date, time,
  modalities, progress, standing, attempts, recoveries, in_doubt, since, due, why, detail, advice, subject, subject_key,
  label, session, received, changed
FROM studies;
DROP TABLE studies;
ALTER TABLE new_studies RENAME TO studies;
-- XNAT breaks when two sessions create one subject at once (F38): one of a subject is archived or described at a time
CREATE UNIQUE INDEX one_busy_subject ON studies (project, subject_key)
  WHERE standing = 'busy' AND progress IN ('uploaded', 'archived') AND subject_key IS NOT NULL;
-- one study is worked on by one worker at a time, whichever ZIP it came in
CREATE UNIQUE INDEX one_busy_study ON studies (project, study_uid) WHERE standing = 'busy';
CREATE INDEX by_study_uid ON studies (project, study_uid);
CREATE INDEX by_progress ON studies (progress, standing, project);
CREATE INDEX not_done ON studies (standing, due) WHERE standing NOT IN ('done', 'skipped');
-- what was achieved stays achieved, unless a person has it sent again
CREATE TRIGGER never_back BEFORE UPDATE OF progress ON studies WHEN NEW.generation = OLD.generation
  AND instr('received uploaded archived complete', NEW.progress) < instr('received uploaded archived complete', OLD.progress)
BEGIN
  SELECT RAISE(ABORT, 'progress never moves back');
END;


CREATE TABLE new_series (
  study    INTEGER NOT NULL REFERENCES studies,
  uid      TEXT NOT NULL,
  number   TEXT NOT NULL,
  modality TEXT NOT NULL,
  image    INTEGER NOT NULL CHECK (image IN (0, 1)),
  left_out INTEGER NOT NULL DEFAULT 0 CHECK (left_out IN (0, 1)),
  accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1)),  -- a person accepts that the server leaves it out
  files    INTEGER,                            -- how many XNAT held when it was found there; of a ZIP they are counted
  PRIMARY KEY (study, uid),
  -- an image series is never left out: it is held until a person has decided
  CHECK (left_out = 0 OR image = 0 OR accepted = 1)
) STRICT, WITHOUT ROWID;

INSERT INTO new_series (study, uid, number, modality, image, left_out, files)
SELECT study, uid, number, modality, image, left_out, files FROM series;
DROP TABLE series;
ALTER TABLE new_series RENAME TO series;

ALTER TABLE places ADD COLUMN joins TEXT;
ALTER TABLE places ADD COLUMN built TEXT;
ALTER TABLE places ADD COLUMN strays TEXT NOT NULL DEFAULT '[]';

-- when nothing is done because a person said so, or because the clock cannot be trusted
CREATE TABLE pauses (
  id     INTEGER PRIMARY KEY,
  of     TEXT NOT NULL CHECK (of IN ('work', 'retention')),
  since  TEXT NOT NULL,
  until  TEXT,                                 -- when a person let it go on
  why    TEXT NOT NULL,
  advice TEXT NOT NULL
) STRICT;
-- each is paused once at a time
CREATE UNIQUE INDEX one_open_pause ON pauses (of) WHERE until IS NULL;
