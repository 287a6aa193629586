-- What version 1 of the file of jobs looked like, with three jobs queued and one done.
CREATE TABLE job(
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, priority INTEGER NOT NULL,
    number REAL NOT NULL, user TEXT NOT NULL, client TEXT NOT NULL,
    max_attempts INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, owner TEXT,
    device TEXT, created REAL NOT NULL, started REAL, finished REAL, result BLOB, bytes INTEGER NOT NULL);
CREATE TABLE asked(n INTEGER PRIMARY KEY, text TEXT NOT NULL, request TEXT NOT NULL);
CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN DELETE FROM asked WHERE n = old.n; END;
CREATE INDEX job_queue ON job(state, priority DESC, number, n);
CREATE INDEX job_ended ON job(state, finished, bytes);
CREATE TABLE event(
    seq INTEGER PRIMARY KEY, job TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,
    client TEXT NOT NULL);
CREATE INDEX event_job ON event(job, seq);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes)
    VALUES ('a1', 'queued', 0, 1, 'a', '', 2, 0.0, 10);
INSERT INTO asked VALUES (1, 'text', '{}');
INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes)
    VALUES ('a2', 'queued', 0, 2, 'a', '', 2, 0.0, 10);
INSERT INTO asked VALUES (2, 'text', '{}');
INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes)
    VALUES ('b1', 'queued', 0, 3, 'b', '', 2, 0.0, 10);
INSERT INTO asked VALUES (3, 'text', '{}');
INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, finished, bytes)
    VALUES ('old', 'done', 0, 0, 'c', '', 2, 0.0, 1.0, 10);
INSERT INTO asked VALUES (4, 'text', '{}');
INSERT INTO meta VALUES ('number', 4);
PRAGMA application_id=1852469090;
PRAGMA user_version=1;
