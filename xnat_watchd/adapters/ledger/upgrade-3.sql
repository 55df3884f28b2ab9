-- From version 2 to 3: findings, clutter by kind, digests of instances, the stamp of what was judged, whose trouble it is.

-- the words of the glossary
ALTER TABLE deliveries RENAME COLUMN resting TO kept_as;
ALTER TABLE studies RENAME COLUMN unwanted TO skip_reason;
ALTER TABLE places RENAME COLUMN spoke TO last_sent;
ALTER TABLE places RENAME COLUMN joins TO merge_into;
ALTER TABLE places RENAME COLUMN strays TO misplaced;

ALTER TABLE studies ADD COLUMN subject_id TEXT;
ALTER TABLE deliveries ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE places ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
ALTER TABLE instances ADD COLUMN left_behind INTEGER NOT NULL DEFAULT 0 CHECK (left_behind IN (0, 1));
ALTER TABLE ignored ADD COLUMN since TEXT NOT NULL DEFAULT '';
ALTER TABLE studies ADD COLUMN uploads INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN trials INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN refusal TEXT;
ALTER TABLE studies ADD COLUMN delayed TEXT;
ALTER TABLE events ADD COLUMN scope TEXT CHECK (scope IN ('study', 'project', 'server', 'machine'));
CREATE INDEX projects_troubles ON events (study, id) WHERE scope = 'project';
CREATE INDEX places_of_study ON places (study);
CREATE INDEX to_take ON studies (progress, due, key) WHERE standing IN ('ready', 'waiting');
ALTER TABLE gates ADD COLUMN passes INTEGER NOT NULL DEFAULT 1 CHECK (passes IN (0, 1));
ALTER TABLE shares ADD COLUMN scope TEXT NOT NULL DEFAULT 'study' CHECK (scope IN ('study', 'project'));
ALTER TABLE places ADD COLUMN named INTEGER NOT NULL DEFAULT 0 CHECK (named IN (0, 1));
ALTER TABLE places ADD COLUMN settled TEXT;
ALTER TABLE places ADD COLUMN taken TEXT;
ALTER TABLE places ADD COLUMN doubted TEXT;
ALTER TABLE places ADD COLUMN appeared TEXT;
ALTER TABLE places ADD COLUMN locked TEXT;
ALTER TABLE places ADD COLUMN before TEXT;
ALTER TABLE studies ADD COLUMN lost INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0);
ALTER TABLE studies ADD COLUMN loss_accepted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN claimed TEXT;
CREATE INDEX claims ON studies (project, claimed) WHERE claimed IS NOT NULL;

-- where something may appear late
CREATE INDEX doubted_places ON places (doubted) WHERE doubted IS NOT NULL;
-- what lies in XNAT at a place of ours and is not proved to be ours
CREATE INDEX mixed_places ON places (study) WHERE mixed = 1 AND settled IS NULL;
CREATE INDEX lost_images ON studies (key) WHERE lost > 0;

ALTER TABLE people ADD COLUMN birth_date TEXT NOT NULL DEFAULT '';
UPDATE people SET birth_date = coalesce((
  SELECT s.birth_date FROM studies s WHERE s.project = people.project AND s.subject_key = people.subject_key
  AND (s.patient_name, s.patient_id) = (people.name, people.id) ORDER BY s.key LIMIT 1), '');

-- what was found out about the content of a study: a fact that only a named decision of a person settles
CREATE TABLE findings (
  id      INTEGER PRIMARY KEY,
  study   INTEGER NOT NULL REFERENCES studies,
  kind    TEXT NOT NULL CHECK (kind IN (
    'two people', 'damaged', 'two contents', 'unexplained', 'no study', 'foreign images', 'listed and absent')),
  count   INTEGER NOT NULL CHECK (count > 0),  -- images or members that it is about
  why     TEXT NOT NULL,                       -- without names
  members TEXT NOT NULL DEFAULT '[]',          -- JSON list of names, for `show` alone
  uids    TEXT NOT NULL DEFAULT '[]',          -- JSON list of the images' SOP Instance UIDs, where they can be read
  found   TEXT NOT NULL,
  settled TEXT,                                -- when
  by      TEXT,                                -- who: a person's login name, or the delivery that replaces the study
  reason  TEXT,                                -- why
  -- who settles it says so
  CHECK ((settled IS NULL) = (by IS NULL) AND (settled IS NULL) = (reason IS NULL)),
  -- two people in one study are sent by nobody's word
  CHECK (kind <> 'two people' OR settled IS NULL OR by LIKE 'delivery %')
) STRICT;
CREATE INDEX findings_of_study ON findings (study);
-- no study goes on while a finding that holds is open
CREATE TRIGGER open_findings_hold BEFORE UPDATE OF progress ON studies
  WHEN NEW.progress <> OLD.progress AND NEW.progress <> 'received' AND EXISTS (
    SELECT 1 FROM findings WHERE study = NEW.key AND settled IS NULL AND kind <> 'listed and absent')
BEGIN
  SELECT RAISE(ABORT, 'a finding is open');
END;

-- members of a ZIP that are certainly no images, by what they are
CREATE TABLE clutter (
  delivery INTEGER NOT NULL REFERENCES deliveries,
  kind     TEXT NOT NULL,
  count    INTEGER NOT NULL CHECK (count > 0),
  PRIMARY KEY (delivery, kind)
) STRICT, WITHOUT ROWID;

-- version 2 knew what was wrong with a content only as the first event of a study: its parts become findings. What
-- is archived since, a person's retry had let go on: what stayed behind is told from now on, and its ZIP is kept.
WITH RECURSIVE first (study, why) AS (
  SELECT s.key, (SELECT e.why FROM events e WHERE e.study = s.key AND e.delivery = s.delivery ORDER BY e.id LIMIT 1)
  FROM studies s WHERE s.standing <> 'skipped'
  AND (SELECT e.event FROM events e WHERE e.study = s.key AND e.delivery = s.delivery ORDER BY e.id LIMIT 1) = 'held'
), part (study, why, rest) AS (
  SELECT study, '', why || '; ' FROM first WHERE why IS NOT NULL
  UNION ALL
  SELECT study, substr(rest, 1, instr(rest, '; ') - 1), substr(rest, instr(rest, '; ') + 2) FROM part WHERE rest <> ''
), found AS (
  SELECT p.study, p.why, length(p.rest) AS rest, s.received, s.progress IN ('archived', 'complete') AS sent, s.changed,
         CASE WHEN p.why LIKE '%two patients%' THEN 'two people'
              WHEN p.why LIKE '%different contents%' THEN 'two contents'
              WHEN p.why LIKE '%of no study%' THEN 'no study'
              WHEN p.why LIKE '%damaged%' THEN 'damaged' ELSE 'unexplained' END AS kind
  FROM part p JOIN studies s ON s.key = p.study WHERE p.why <> ''
)
INSERT INTO findings (study, kind, count, why, found, settled, by, reason)
SELECT study, kind, max(1, CAST(why AS INTEGER)), why, received, iif(sent, changed, NULL),
       iif(sent, 'an older version', NULL), iif(sent, 'it was tried again by retry', NULL)
FROM found WHERE NOT (sent AND kind = 'two people') ORDER BY study, rest DESC;

-- how our folders are known again: a disk that is not mounted leaves an empty one
CREATE TABLE marks (
  folder   TEXT PRIMARY KEY,                   -- its name in the settings
  id       TEXT NOT NULL,                      -- what stands in its mark; empty: it takes none
  identity TEXT NOT NULL,                      -- device:inode
  path     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX deliveries_by_state;
CREATE INDEX deliveries_by_state ON deliveries (state, settled, ended, size);
