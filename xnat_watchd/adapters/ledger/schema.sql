-- The ledger, version 3. Every CHECK and every unique index forbids something that must never happen.
-- Times are ISO 8601 in UTC with microseconds, so that they sort as text.

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

CREATE TABLE deliveries (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- people say "delivery 12": a number is never used twice
  -- a ZIP; or what others put into XNAT and a person has told us to carry on: from its prearchive or its archive
  kind     TEXT NOT NULL DEFAULT 'zip' CHECK (kind IN ('zip', 'prearchive', 'archive')),
  name     TEXT NOT NULL,                      -- path below the drop folder, as it was dropped; else XNAT's name for it
  project  TEXT NOT NULL,
  identity TEXT NOT NULL,                      -- of the ZIP as it was dropped: size, time, digest of its path; else its path in XNAT
  state    TEXT NOT NULL CHECK (state IN ('arriving', 'taken', 'rejected', 'duplicate', 'finished', 'withdrawn')),
  openings INTEGER NOT NULL DEFAULT 0,         -- how often opening it was begun
  sha256   TEXT,
  size     INTEGER,
  as_it_is INTEGER NOT NULL DEFAULT 0 CHECK (as_it_is IN (0, 1)),
  arrived  TEXT NOT NULL,
  ended    TEXT,
  kept_as  TEXT,                               -- where its ZIP is to lie in the end, below the root
  why      TEXT,
  detail   TEXT,
  advice   TEXT,
  deleted  TEXT,                               -- when its ZIP, which lay there, was deleted by the rules of retention
  settled  TEXT,                               -- when a person said that nothing more is to come of it
  stamp    TEXT NOT NULL DEFAULT '',           -- what the file system said of the ZIP when it was judged; empty: no proof
  station  INTEGER NOT NULL DEFAULT 1 REFERENCES stations,  -- that has taken it
  root     TEXT NOT NULL DEFAULT '',           -- UUID of the root where its ZIP lies; empty: the only one of this ledger
  -- what is taken has been read to its end
  CHECK (state NOT IN ('taken', 'finished', 'duplicate') OR (kind = 'zip') = (sha256 IS NOT NULL)),
  -- what has ended says when
  CHECK ((ended IS NOT NULL) = (state IN ('rejected', 'duplicate', 'finished', 'withdrawn'))),
  -- only what has come to rest is deleted
  CHECK (deleted IS NULL OR (state IN ('duplicate', 'finished') AND kept_as IS NOT NULL)),
  -- only what was rejected is settled
  CHECK (settled IS NULL OR state = 'rejected')
) STRICT;

-- the same bytes for the same project are on their way once in a root, and in another only if no station serves this
CREATE UNIQUE INDEX one_open_delivery ON deliveries (root, project, sha256) WHERE state = 'taken';
-- and so is what lies in XNAT
CREATE UNIQUE INDEX one_open_find ON deliveries (identity) WHERE state = 'taken' AND kind <> 'zip';
-- what several stations see in one root is taken by one of them
CREATE UNIQUE INDEX one_arrival ON deliveries (root, identity) WHERE state = 'arriving';
CREATE INDEX deliveries_by_state ON deliveries (state, settled, ended, size);
CREATE INDEX deliveries_by_bytes ON deliveries (project, sha256);
-- the ZIPs that are kept, the latest last
CREATE INDEX kept_deliveries ON deliveries (ended) WHERE kept_as IS NOT NULL AND deleted IS NULL;
-- what came and what ended within a time
CREATE INDEX arrivals ON deliveries (arrived);
CREATE INDEX endings ON deliveries (ended, state, size) WHERE ended IS NOT NULL;

CREATE TABLE studies (
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
  skip_reason TEXT,                            -- why a person wants it no more: nothing but its end is left to do
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
  subject_id  TEXT,                            -- accession ID of the archived session's subject
  uploads     INTEGER NOT NULL DEFAULT 0,      -- times that all of it was sent, since a person said anything about it
  trials      INTEGER NOT NULL DEFAULT 0,      -- times that it met what may be the project's trouble, likewise
  refusal     TEXT,                            -- what XNAT has refused, where that is asked once more before it is believed
  delayed     TEXT,                            -- since when it meets trouble; none once it has come further
  lost        INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0),  -- images that XNAT held, and lacked when last asked
  loss_accepted INTEGER NOT NULL DEFAULT 0,    -- of these so many as a person has said to be right
  claimed     TEXT,                            -- subject_key that its person is to have, until XNAT has something there
  root        TEXT NOT NULL DEFAULT '',        -- of its delivery
  owner       INTEGER REFERENCES stations CHECK (owner IS NULL OR standing = 'busy'),  -- the station that works on it
  fence       INTEGER NOT NULL DEFAULT 0,      -- grows when it is taken and when its station is found gone
  may_act_until TEXT,                          -- until when XNAT may still act on it, as asked by a process that is gone
  UNIQUE (delivery, number),
  UNIQUE (delivery, study_uid),
  -- what is complete is done, and nothing else is
  CHECK ((progress = 'complete') = (standing = 'done')),
  -- what is skipped was not wanted
  CHECK (standing <> 'skipped' OR skip_reason IS NOT NULL),
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
CREATE INDEX by_progress ON studies (progress, standing, project);
-- what may be taken, in the order in which it is
CREATE INDEX to_take ON studies (root, progress, project, standing, due, key, subject_key)
  WHERE standing IN ('ready', 'waiting');
CREATE INDEX next_due ON studies (standing, root, project, due) WHERE standing IN ('ready', 'waiting');
CREATE INDEX to_skip ON studies (root, progress, key) WHERE skip_reason IS NOT NULL AND standing IN ('ready', 'waiting');
CREATE INDEX due_by_mistake ON studies (root, uploads, due) WHERE standing = 'waiting';
-- of which ZIPs something is still to be sent
CREATE INDEX received_studies ON studies (delivery) WHERE progress = 'received' AND skip_reason IS NULL;
CREATE INDEX delayed_studies ON studies (delayed) WHERE delayed IS NOT NULL;
CREATE INDEX not_done ON studies (standing, due) WHERE standing NOT IN ('done', 'skipped');
CREATE INDEX lost_images ON studies (key) WHERE lost > 0;
-- whose subject XNAT may still be at
CREATE INDEX acted_on ON studies (project, subject_key) WHERE may_act_until IS NOT NULL;
CREATE INDEX claims ON studies (project, claimed) WHERE claimed IS NOT NULL;
-- what was achieved stays achieved, unless a person has it sent again
CREATE TRIGGER never_back BEFORE UPDATE OF progress ON studies WHEN NEW.generation = OLD.generation
  AND instr('received uploaded archived complete', NEW.progress) < instr('received uploaded archived complete', OLD.progress)
BEGIN
  SELECT RAISE(ABORT, 'progress never moves back');
END;

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

CREATE TABLE series (
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

CREATE TABLE instances (
  study   INTEGER NOT NULL REFERENCES studies,
  sop_uid TEXT NOT NULL,
  series  TEXT NOT NULL,
  size    INTEGER NOT NULL,
  crc     INTEGER NOT NULL,
  member  INTEGER NOT NULL,
  place   INTEGER REFERENCES places,           -- where it was sent last; none: XNAT had it already
  digest  BLOB NOT NULL DEFAULT x'',           -- SHA-256 of the inflated member; empty: recorded by an older version
  left_behind INTEGER NOT NULL DEFAULT 0 CHECK (left_behind IN (0, 1)),  -- a person accepts that it is not sent
  PRIMARY KEY (study, sop_uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE places (
  id        INTEGER PRIMARY KEY,
  study     INTEGER NOT NULL REFERENCES studies,
  project   TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  folder    TEXT NOT NULL,
  chosen    TEXT NOT NULL,
  last_sent TEXT,                              -- when its import began; from its last byte on, when that was sent
  ended     TEXT,
  mixed     INTEGER NOT NULL DEFAULT 0 CHECK (mixed IN (0, 1)),
  missing   TEXT NOT NULL DEFAULT '[]',        -- JSON list of the whole series that did not arrive there
  merge_into TEXT,                             -- accession ID of the session that its row is added to, once asked for
  built     TEXT,                              -- when XNAT was last told to build what it has received there
  misplaced TEXT NOT NULL DEFAULT '[]',        -- JSON list of paths: where XNAT put the upload instead, till it is gone
  stamp     TEXT NOT NULL DEFAULT '',          -- of the ZIP that was sent there; empty: it was a copy of ours
  named     INTEGER NOT NULL DEFAULT 0 CHECK (named IN (0, 1)),  -- what was sent has its SOPInstanceUID for a name
  settled   TEXT,                              -- when what is mixed was seen to be gone
  taken     TEXT,                              -- when XNAT refused a second import there: it has the files
  doubted   TEXT,                              -- when it was first unknown what became of an import there
  appeared  TEXT,                              -- when it was seen, under a timestamp of ours that XNAT has another folder for
  locked    TEXT,                              -- since when XNAT archives its row, although that answer was lost
  before    TEXT,                              -- JSON: files by series in the session when it was told to take the row
  -- a place is ours alone and used once
  UNIQUE (project, timestamp, folder)
) STRICT;

-- what lies in XNAT at a place of ours and is not proved to be ours
CREATE INDEX mixed_places ON places (study) WHERE mixed = 1 AND settled IS NULL;
-- where something may appear late
CREATE INDEX doubted_places ON places (doubted) WHERE doubted IS NOT NULL;
-- a study has one current place; older ones stay on record
CREATE UNIQUE INDEX one_current_place ON places (study) WHERE ended IS NULL;
CREATE INDEX places_of_study ON places (study);

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

-- of whom XNAT has, or may have, something under a subject label by our hand: two people never share one
CREATE TABLE people (
  project     TEXT NOT NULL,
  subject_key TEXT NOT NULL,
  name        TEXT NOT NULL,
  id          TEXT NOT NULL,
  birth_date  TEXT NOT NULL DEFAULT '',        -- tells people apart who have no ID
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
  detail   TEXT,
  scope    TEXT CHECK (scope IN ('study', 'project', 'server', 'machine')),  -- whose trouble it may be
  who      TEXT                                -- the login name of the person who decided it
) STRICT;
CREATE INDEX events_of_delivery ON events (delivery);
CREATE INDEX projects_troubles ON events (study, id) WHERE scope = 'project';
-- which studies were archived within a time, and what failed
CREATE INDEX archivals ON events (at, study) WHERE progress = 'archived' AND event IN ('advanced', 'parked');
CREATE INDEX failures ON events (at) WHERE event IN ('held', 'rejected');

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

-- in which history of its commits a shared ledger goes on
CREATE TABLE commit_history (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL                           -- of the history of commits: another one may lack some that were confirmed
) STRICT;

-- when the latest import of any station starts, by the clock of the database
CREATE TABLE import_starts (
  id INTEGER PRIMARY KEY CHECK (id = 1),       -- a shared ledger is about one XNAT
  at TEXT NOT NULL
) STRICT;

-- when nothing is done because a person said so, or because the clock cannot be trusted
CREATE TABLE pauses (
  id     INTEGER PRIMARY KEY,
  of     TEXT NOT NULL CHECK (of IN ('work', 'retention')),
  since  TEXT NOT NULL,
  until  TEXT,                                 -- when a person let it go on
  why    TEXT NOT NULL,
  advice TEXT NOT NULL,
  ended_by TEXT,                               -- the login name of that person
  detail TEXT NOT NULL DEFAULT '',             -- the reason that the person typed who began it; it may hold a name
  station INTEGER NOT NULL DEFAULT 1 REFERENCES stations  -- that does nothing
) STRICT;
-- each is paused once at a time at a station
CREATE UNIQUE INDEX one_open_pause ON pauses (station, of) WHERE until IS NULL;

-- what lies in the drop folder and is not taken, as of the last sweep
CREATE TABLE ignored (
  root   TEXT NOT NULL,
  name   TEXT NOT NULL,
  why    TEXT NOT NULL,
  advice TEXT NOT NULL,                        -- empty: nothing needs to be done about it
  since  TEXT NOT NULL DEFAULT '',             -- when it was first seen
  PRIMARY KEY (root, name)
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
  scope       TEXT NOT NULL DEFAULT 'study' CHECK (scope IN ('study', 'project')),  -- the row's trouble, or the destination's
  PRIMARY KEY (destination, id),
  -- what is ours was seen, and only what was ours can be taken back
  CHECK ((fate IN ('made', 'removed')) = (seen IS NOT NULL)),
  -- what is refused says why
  CHECK (fate <> 'refused' OR why <> '')
) STRICT, WITHOUT ROWID;
CREATE INDEX shares_due ON shares (due) WHERE fate = 'intended';

-- the share tables that lie in the folder of a station
CREATE TABLE share_tables (
  station INTEGER NOT NULL REFERENCES stations,
  name    TEXT NOT NULL,
  checked TEXT NOT NULL,                       -- when its rows were last compared with the server
  why     TEXT NOT NULL DEFAULT '',            -- why it cannot be read
  advice  TEXT NOT NULL DEFAULT '',
  detail  TEXT NOT NULL DEFAULT '',            -- the reason as it quotes the table
  PRIMARY KEY (station, name)
) STRICT, WITHOUT ROWID;

-- what is true of their rows
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

-- what ever became of rows: kept when the table is gone
CREATE TABLE share_events (
  id       INTEGER PRIMARY KEY,
  at       TEXT NOT NULL,
  name     TEXT NOT NULL,                      -- of the table
  line     INTEGER NOT NULL,
  key      TEXT NOT NULL,
  state    TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  station  INTEGER NOT NULL DEFAULT 1 REFERENCES stations
) STRICT;

-- how our folders are known again: a disk that is not mounted leaves an empty one
CREATE TABLE marks (
  station  INTEGER NOT NULL REFERENCES stations,  -- that sees the folder so
  folder   TEXT NOT NULL,                      -- its name in the settings
  id       TEXT NOT NULL,                      -- what stands in its mark; empty: it takes none
  identity TEXT NOT NULL,                      -- device:inode
  path     TEXT NOT NULL,
  PRIMARY KEY (station, folder)
) STRICT, WITHOUT ROWID;

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
