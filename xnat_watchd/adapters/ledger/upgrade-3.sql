-- From version 2 to 3: findings, clutter by kind, digests of instances, the stamp of what was judged, whose trouble it is.

-- the words of the glossary
ALTER TABLE deliveries RENAME COLUMN resting TO kept_as;
ALTER TABLE pauses ADD COLUMN ended_by TEXT;
ALTER TABLE pauses ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE studies RENAME COLUMN unwanted TO skip_reason;
ALTER TABLE places RENAME COLUMN spoke TO last_sent;
ALTER TABLE places RENAME COLUMN joins TO merge_into;
ALTER TABLE places RENAME COLUMN strays TO misplaced;

ALTER TABLE studies ADD COLUMN subject_id TEXT;
ALTER TABLE deliveries ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE places ADD COLUMN stamp TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
ALTER TABLE instances ADD COLUMN left_behind INTEGER NOT NULL DEFAULT 0 CHECK (left_behind IN (0, 1));
ALTER TABLE studies ADD COLUMN uploads INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN trials INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN refusal TEXT;
ALTER TABLE studies ADD COLUMN delayed TEXT;
ALTER TABLE events ADD COLUMN scope TEXT CHECK (scope IN ('study', 'project', 'server', 'machine'));
ALTER TABLE events ADD COLUMN who TEXT;
CREATE INDEX projects_troubles ON events (study, id) WHERE scope = 'project';
-- which studies were archived within a time, and what failed
CREATE INDEX archivals ON events (at, study) WHERE progress = 'archived' AND event IN ('advanced', 'parked');
CREATE INDEX failures ON events (at) WHERE event IN ('held', 'rejected');
CREATE INDEX places_of_study ON places (study);
-- the ZIPs that are kept, the latest last
CREATE INDEX kept_deliveries ON deliveries (ended) WHERE kept_as IS NOT NULL AND deleted IS NULL;
-- what came and what ended within a time
CREATE INDEX arrivals ON deliveries (arrived);
CREATE INDEX endings ON deliveries (ended, state, size) WHERE ended IS NOT NULL;
-- of which ZIPs something is still to be sent
CREATE INDEX received_studies ON studies (delivery) WHERE progress = 'received' AND skip_reason IS NULL;
CREATE INDEX delayed_studies ON studies (delayed) WHERE delayed IS NOT NULL;
ALTER TABLE gates RENAME TO older_gates;
CREATE TABLE gates (
  scope    TEXT NOT NULL,                      -- empty for the server, else the project
  account  TEXT NOT NULL DEFAULT '',           -- digest of the one whose login was refused; empty: it is so for all stations
  until    TEXT,
  trial    INTEGER NOT NULL CHECK (trial IN (0, 1)),
  login    INTEGER NOT NULL CHECK (login IN (0, 1)),
  why      TEXT NOT NULL,
  advice   TEXT NOT NULL,
  strikes  INTEGER NOT NULL,
  refusals TEXT NOT NULL,                      -- JSON list of times
  passes   INTEGER NOT NULL DEFAULT 1 CHECK (passes IN (0, 1)),  -- it may pass without anybody's help
  since    TEXT,                               -- when it was shut the first time in a row
  PRIMARY KEY (scope, account)
) STRICT;
INSERT INTO gates (scope, until, trial, login, why, advice, strikes, refusals)
SELECT scope, until, trial, login, why, advice, strikes, refusals FROM older_gates;
DROP TABLE older_gates;
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

-- the services that work on this ledger: one, unless it is shared
CREATE TABLE stations (
  id      INTEGER PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE,                -- empty: it was never started
  root    TEXT NOT NULL DEFAULT '',            -- UUID of the root whose ZIPs it sends; empty: not known yet
  process TEXT NOT NULL DEFAULT '',            -- the lock that its process holds: who gets the same one knows that it ended
  version TEXT NOT NULL DEFAULT '',            -- of its program
  epoch   INTEGER NOT NULL DEFAULT 1 CHECK (epoch >= 1),  -- one more at each start, and when another has found it gone
  seen    TEXT,                                -- when it was heard of last, by the clock of the database
  gone    TEXT,                                -- since when it is not there: it has ended, or another has found it gone
  lateness INTEGER NOT NULL DEFAULT 0,         -- seconds for which something may appear in XNAT once it is gone
  report  TEXT NOT NULL DEFAULT '',            -- what only it knows of itself, for all to see: JSON without names
  account TEXT NOT NULL DEFAULT ''             -- digest of the name that it logs in with, if there may be other stations
) STRICT;
INSERT INTO stations (id, name) VALUES (1, '');
ALTER TABLE deliveries ADD COLUMN station INTEGER NOT NULL DEFAULT 1 REFERENCES stations;
ALTER TABLE deliveries ADD COLUMN root TEXT NOT NULL DEFAULT '';
ALTER TABLE studies ADD COLUMN root TEXT NOT NULL DEFAULT '';
ALTER TABLE studies ADD COLUMN owner INTEGER REFERENCES stations CHECK (owner IS NULL OR standing = 'busy');
ALTER TABLE studies ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE studies ADD COLUMN may_act_until TEXT;
CREATE INDEX acted_on ON studies (project, subject_key) WHERE may_act_until IS NOT NULL;
UPDATE studies SET owner = 1 WHERE standing = 'busy';
UPDATE deliveries SET identity = identity || ':' || id WHERE state = 'arriving' AND EXISTS (
  SELECT 1 FROM deliveries o WHERE o.state = 'arriving' AND o.identity = deliveries.identity AND o.id < deliveries.id);
CREATE INDEX to_take ON studies (root, progress, project, standing, due, key, subject_key)
  WHERE standing IN ('ready', 'waiting');
CREATE INDEX next_due ON studies (standing, root, project, due) WHERE standing IN ('ready', 'waiting');
CREATE INDEX to_skip ON studies (root, progress, key) WHERE skip_reason IS NOT NULL AND standing IN ('ready', 'waiting');
CREATE INDEX due_by_mistake ON studies (root, uploads, due) WHERE standing = 'waiting';
-- what several stations see in one root is taken by one of them
CREATE UNIQUE INDEX one_arrival ON deliveries (root, identity) WHERE state = 'arriving';

-- what is known of one root, or by one station
CREATE TEMP TABLE old_ignored AS SELECT * FROM ignored;
DROP TABLE ignored;
CREATE TABLE ignored (
  root   TEXT NOT NULL,
  name   TEXT NOT NULL,
  why    TEXT NOT NULL,
  advice TEXT NOT NULL,                        -- empty: nothing needs to be done about it
  since  TEXT NOT NULL DEFAULT '',             -- when it was first seen
  PRIMARY KEY (root, name)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE old_tables AS SELECT * FROM share_tables;
CREATE TEMP TABLE old_rows AS SELECT * FROM share_rows;
DROP TABLE share_rows;
DROP TABLE share_tables;
CREATE TABLE share_tables (
  station INTEGER NOT NULL REFERENCES stations,
  name    TEXT NOT NULL,
  checked TEXT NOT NULL,                       -- when its rows were last compared with the server
  why     TEXT NOT NULL DEFAULT '',            -- why it cannot be read
  advice  TEXT NOT NULL DEFAULT '',
  detail  TEXT NOT NULL DEFAULT '',            -- the reason as it quotes the table
  PRIMARY KEY (station, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE share_rows (
  station  INTEGER NOT NULL,
  name     TEXT NOT NULL,
  key      TEXT NOT NULL,                      -- all that the row asks for: changed, it is another row
  state    TEXT NOT NULL CHECK (state IN ('already there', 'shared', 'removed by someone', 'waiting', 'failed')),
  sessions INTEGER NOT NULL,
  since    TEXT NOT NULL,
  line     INTEGER NOT NULL DEFAULT 0,
  reason   TEXT NOT NULL DEFAULT '',
  absent   TEXT,                               -- since when a subject or project that it names is not there
  PRIMARY KEY (station, name, key),
  FOREIGN KEY (station, name) REFERENCES share_tables ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO share_tables (station, name, checked, why, advice) SELECT 1, name, checked, why, advice FROM old_tables;
INSERT INTO share_rows (station, name, key, state, sessions, since) SELECT 1, name, key, state, sessions, since FROM old_rows;
INSERT INTO ignored (root, name, why, advice) SELECT '', name, why, advice FROM old_ignored;
DROP TABLE old_ignored;
DROP TABLE old_tables;
DROP TABLE old_rows;
ALTER TABLE share_events ADD COLUMN station INTEGER NOT NULL DEFAULT 1 REFERENCES stations;
ALTER TABLE pauses ADD COLUMN station INTEGER NOT NULL DEFAULT 1 REFERENCES stations;
DROP INDEX one_open_pause;
-- each is paused once at a time at a station
CREATE UNIQUE INDEX one_open_pause ON pauses (station, of) WHERE until IS NULL;
DROP INDEX one_open_delivery;
-- the same bytes for the same project are on their way once in a root, and in another only if no station serves this
CREATE UNIQUE INDEX one_open_delivery ON deliveries (root, project, sha256) WHERE state = 'taken';

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
  station  INTEGER NOT NULL REFERENCES stations,  -- that sees the folder so
  folder   TEXT NOT NULL,                      -- its name in the settings
  id       TEXT NOT NULL,                      -- what stands in its mark; empty: it takes none
  identity TEXT NOT NULL,                      -- device:inode
  path     TEXT NOT NULL,
  PRIMARY KEY (station, folder)
) STRICT, WITHOUT ROWID;

DROP INDEX deliveries_by_state;
CREATE INDEX deliveries_by_state ON deliveries (state, settled, ended, size);

-- how many there are of each kind: counted when one changes, since the status must not count all that ever came
CREATE TABLE delivery_counts (
  root  TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL CHECK (count >= 0),
  bytes INTEGER NOT NULL CHECK (bytes >= 0),   -- of their ZIPs, as far as these were read
  PRIMARY KEY (root, state)
) STRICT, WITHOUT ROWID;
CREATE TABLE study_counts (
  root     TEXT NOT NULL,
  progress TEXT NOT NULL,
  standing TEXT NOT NULL,
  count    INTEGER NOT NULL CHECK (count >= 0),
  PRIMARY KEY (root, progress, standing)
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_counts SELECT '', state, count(*), coalesce(sum(size), 0) FROM deliveries GROUP BY state;
INSERT INTO study_counts SELECT '', progress, standing, count(*) FROM studies GROUP BY progress, standing;
CREATE TRIGGER delivery_comes AFTER INSERT ON deliveries BEGIN
  INSERT INTO delivery_counts VALUES (NEW.root, NEW.state, 1, ifnull(NEW.size, 0))
  ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER delivery_changes AFTER UPDATE OF state, size ON deliveries BEGIN
  UPDATE delivery_counts SET count = count - 1, bytes = bytes - ifnull(OLD.size, 0)
  WHERE (root, state) = (OLD.root, OLD.state);
  INSERT INTO delivery_counts VALUES (NEW.root, NEW.state, 1, ifnull(NEW.size, 0))
  ON CONFLICT DO UPDATE SET count = count + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER study_comes AFTER INSERT ON studies BEGIN
  INSERT INTO study_counts VALUES (NEW.root, NEW.progress, NEW.standing, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER study_changes AFTER UPDATE OF progress, standing ON studies
  WHEN (NEW.progress, NEW.standing) <> (OLD.progress, OLD.standing)
BEGIN
  UPDATE study_counts SET count = count - 1
  WHERE (root, progress, standing) = (OLD.root, OLD.progress, OLD.standing);
  INSERT INTO study_counts VALUES (NEW.root, NEW.progress, NEW.standing, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
-- none is ever removed, so nothing else changes the numbers
CREATE TRIGGER deliveries_stay BEFORE DELETE ON deliveries BEGIN
  SELECT RAISE(ABORT, 'a delivery is never removed');
END;
CREATE TRIGGER studies_stay BEFORE DELETE ON studies BEGIN
  SELECT RAISE(ABORT, 'a study is never removed');
END;

-- trouble that people are told of: at a station at most one for each kind and scope
CREATE TABLE incidents (
  station   INTEGER NOT NULL REFERENCES stations,  -- that has met it
  kind      TEXT NOT NULL,
  scope     TEXT NOT NULL,                     -- a project or a folder, or empty
  opened    TEXT NOT NULL,
  gone      TEXT,                              -- since when it is not observed any more
  told      TEXT,                              -- when the last message about it was written
  reminders INTEGER NOT NULL DEFAULT 0,
  reasons   TEXT NOT NULL DEFAULT '',          -- a digest of each reason that was told, with spaces between
  worse     TEXT,                              -- since when there is a reason that was not told
  over      TEXT,                              -- when it was told that it has ended
  returns   INTEGER NOT NULL DEFAULT 0,        -- how often it had ended and came back within a day
  PRIMARY KEY (station, kind, scope)
) STRICT, WITHOUT ROWID;

-- messages for people, one row for each channel: without names
CREATE TABLE messages (
  id       INTEGER PRIMARY KEY,
  station  INTEGER NOT NULL REFERENCES stations,  -- that sends it
  topic    TEXT NOT NULL,                      -- what it is about: the same is written once for a channel
  channel  TEXT NOT NULL,
  written  TEXT NOT NULL,
  subject  TEXT NOT NULL,
  body     TEXT NOT NULL,
  tries    INTEGER NOT NULL DEFAULT 0,
  why      TEXT NOT NULL DEFAULT '',           -- why the last try failed
  due      TEXT,                               -- when it is sent, or tried again; empty: it was sent or given up
  sent     TEXT,
  UNIQUE (station, topic, channel),
  -- what was sent is not sent again
  CHECK (sent IS NULL OR due IS NULL)
) STRICT;
CREATE INDEX messages_due ON messages (due) WHERE due IS NOT NULL;

-- by which files the ledger was moved here and from here; of a shared one, what belongs to a root
CREATE TABLE moves (
  id     TEXT PRIMARY KEY,                     -- UUID of the file
  way    TEXT NOT NULL CHECK (way IN ('here', 'away')),
  root   TEXT NOT NULL DEFAULT '',             -- UUID of the root that was moved; empty: the only one of this ledger
  at     TEXT NOT NULL,
  ended  TEXT,                                 -- when a person said that it is used here after all
  CHECK (ended IS NULL OR way = 'away')
) STRICT, WITHOUT ROWID;
-- what was moved away is served no more
CREATE UNIQUE INDEX one_open_move ON moves (root) WHERE way = 'away' AND ended IS NULL;

-- how often each thing has happened: counted when it happens, since metrics must not count all that ever came
-- A project is named from the first study on that XNAT takes into it; what was counted before stays without a name, since
-- a counter must not go back.
CREATE TABLE totals (
  root    TEXT NOT NULL,
  of      TEXT NOT NULL CHECK (of IN ('deliveries', 'studies')),
  what    TEXT NOT NULL,                       -- an event, or the progress that was reached
  project TEXT NOT NULL,                       -- empty: XNAT had taken no study into it when this happened
  count   INTEGER NOT NULL,
  images  INTEGER NOT NULL DEFAULT 0,          -- that were sent, of the studies that were uploaded or archived
  bytes   INTEGER NOT NULL DEFAULT 0,          -- of these images, unpacked
  latest  TEXT NOT NULL,                       -- when it happened last
  PRIMARY KEY (root, of, what, project)
) STRICT, WITHOUT ROWID;
CREATE INDEX totals_of_project ON totals (project);
-- how long it took from the arrival of a ZIP until XNAT's archive held the images of a study
CREATE TABLE archive_times (
  root    TEXT NOT NULL,
  project TEXT NOT NULL,
  bound   INTEGER NOT NULL,                    -- at most so many seconds, and more than the bound before; 0: more than all
  count   INTEGER NOT NULL,
  seconds REAL NOT NULL,                       -- of all of them together
  PRIMARY KEY (root, project, bound)
) STRICT, WITHOUT ROWID;
WITH confirmed AS (SELECT DISTINCT project FROM studies WHERE progress <> 'received')
INSERT INTO totals (root, of, what, project, count, images, bytes, latest)
SELECT '', 'studies', p.value, coalesce(c.project, ''), count(*), sum(iif(p.value IN ('uploaded', 'archived'), n.images, 0)),
       sum(iif(p.value IN ('uploaded', 'archived'), n.bytes, 0)), max(s.changed)
FROM json_each('["received", "uploaded", "archived", "complete"]') p
JOIN studies s ON instr('received uploaded archived complete', p.value) <= instr('received uploaded archived complete', s.progress)
JOIN (SELECT key, count(i.sop_uid) AS images, coalesce(sum(i.size), 0) AS bytes
      FROM studies LEFT JOIN instances i ON i.study = key AND i.place IS NOT NULL GROUP BY key) n ON n.key = s.key
LEFT JOIN confirmed c ON c.project = s.project
GROUP BY p.value, c.project;
WITH confirmed AS (SELECT DISTINCT project FROM studies WHERE progress <> 'received')
INSERT INTO totals (root, of, what, project, count, latest)
SELECT '', iif(e.study IS NULL, 'deliveries', 'studies'), e.event, coalesce(c.project, ''), count(*), max(e.at)
FROM events e JOIN deliveries d ON d.id = e.delivery LEFT JOIN confirmed c ON c.project = d.project
WHERE iif(e.study IS NULL, e.event IN ('taken', 'rejected', 'duplicate', 'finished', 'withdrawn', 'deleted'),
          e.event IN ('held', 'skipped', 'postponed', 'returned', 'recovered', 'resent'))
GROUP BY 2, e.event, c.project;
CREATE TRIGGER study_is_counted AFTER INSERT ON studies BEGIN
  INSERT INTO totals (root, of, what, project, count, latest)
  VALUES (NEW.root, 'studies', NEW.progress,
          iif(EXISTS (SELECT 1 FROM totals WHERE project = NEW.project), NEW.project, ''), 1, NEW.changed)
  ON CONFLICT DO UPDATE SET count = count + 1, latest = excluded.latest;
END;
CREATE TRIGGER progress_is_counted AFTER UPDATE OF progress ON studies
  WHEN NEW.progress <> OLD.progress AND NEW.progress <> 'received'
BEGIN
  INSERT INTO totals (root, of, what, project, count, images, bytes, latest)
  SELECT NEW.root, 'studies', NEW.progress, NEW.project, 1, count(*), coalesce(sum(size), 0), NEW.changed
  FROM instances WHERE NEW.progress IN ('uploaded', 'archived') AND study = NEW.key AND place IS NOT NULL
  ON CONFLICT DO UPDATE SET count = count + 1, images = images + excluded.images, bytes = bytes + excluded.bytes,
                            latest = excluded.latest;
END;
CREATE TRIGGER archive_time_is_counted AFTER UPDATE OF progress ON studies
  WHEN NEW.progress = 'archived' AND OLD.progress = 'uploaded' AND NEW.generation = 1
BEGIN
  INSERT INTO archive_times (root, project, bound, count, seconds)
  SELECT NEW.root, NEW.project,
         CASE WHEN t <= 60 THEN 60 WHEN t <= 300 THEN 300 WHEN t <= 900 THEN 900 WHEN t <= 3600 THEN 3600
              WHEN t <= 14400 THEN 14400 WHEN t <= 86400 THEN 86400 ELSE 0 END, 1, t
  FROM (SELECT max((julianday(NEW.changed) - julianday(arrived)) * 86400.0, 0.0) AS t FROM deliveries
        WHERE id = NEW.delivery AND kind = 'zip') WHERE true
  ON CONFLICT DO UPDATE SET count = count + 1, seconds = seconds + excluded.seconds;
END;
CREATE TRIGGER event_is_counted AFTER INSERT ON events
  WHEN iif(NEW.study IS NULL, NEW.event IN ('taken', 'rejected', 'duplicate', 'finished', 'withdrawn', 'deleted'),
           NEW.event IN ('held', 'skipped', 'postponed', 'returned', 'recovered', 'resent'))
BEGIN
  INSERT INTO totals (root, of, what, project, count, latest)
  SELECT root, iif(NEW.study IS NULL, 'deliveries', 'studies'), NEW.event,
         iif(EXISTS (SELECT 1 FROM totals t WHERE t.project = d.project), d.project, ''), 1, NEW.at
  FROM deliveries d WHERE id = NEW.delivery
  ON CONFLICT DO UPDATE SET count = count + 1, latest = excluded.latest;
END;
CREATE TABLE import_starts (
  id INTEGER PRIMARY KEY CHECK (id = 1),       -- a shared ledger is about one XNAT
  at TEXT NOT NULL
) STRICT;
CREATE TABLE commit_history (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL                           -- of the history of commits: another one may lack some that were confirmed
) STRICT;

-- where a ZIP is sent while it is checked, until its study has the place; later: where a part of it may have been left
CREATE TABLE early_places (
  delivery  INTEGER NOT NULL UNIQUE REFERENCES deliveries,
  project   TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  folder    TEXT NOT NULL,
  study_uid TEXT NOT NULL,                     -- of all images that were sent
  members   INTEGER NOT NULL CHECK (members > 0),  -- of the ZIP
  ended     TEXT,                              -- when nothing more is sent there: only then it is removed
  mixed     INTEGER NOT NULL DEFAULT 0 CHECK (mixed IN (0, 1)),  -- what lies there is not proved to be ours
  UNIQUE (project, timestamp, folder)
) STRICT;
