-- The queue as version 1 of its file has it: a job that ended, and one that waits while the queue is paused.
PRAGMA application_id=1852469090; PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE asked(n INTEGER PRIMARY KEY, text TEXT NOT NULL, request TEXT NOT NULL);
INSERT INTO "asked" VALUES(1,'nodegraph: 1
params: {start: 2}
nodes:
  first: {uses: Number, with: {value: $start}}
  sum: {uses: Add, with: {a: $first, b: 3}}
  shown: {uses: Tell, with: {value: $sum}}
','{"user":"default","extra":{"kept":1},"id":"ended","max_attempts":2}');
INSERT INTO "asked" VALUES(2,'nodegraph: 1
params: {start: 2}
nodes:
  first: {uses: Number, with: {value: $start}}
  sum: {uses: Add, with: {a: $first, b: 3}}
  shown: {uses: Tell, with: {value: $sum}}
','{"params":{"start":5},"priority":3,"user":"default","id":"waiting","max_attempts":2}');
CREATE TABLE event(
    seq INTEGER PRIMARY KEY, job TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,
    client TEXT NOT NULL);
INSERT INTO "event" VALUES(3,'ended','job_queued',1795652485.37994,'{"number":1.0}','');
INSERT INTO "event" VALUES(5,'ended','job_started',1.79565248538800644869e+09,'{"device":"cpu","attempt":1}','');
INSERT INTO "event" VALUES(7,'ended','planned',1.79565248541381883621e+09,'{"nodes":3,"cached":0}','');
INSERT INTO "event" VALUES(8,'ended','started',1.79565248541386651998e+09,'{"node":"first","type":"Number"}','');
INSERT INTO "event" VALUES(9,'ended','finished',1.79565248541387104987e+09,'{"node":"first","type":"Number","seconds":5.5e-05}','');
INSERT INTO "event" VALUES(10,'ended','started',1.79565248541387319563e+09,'{"node":"sum","type":"Add"}','');
INSERT INTO "event" VALUES(11,'ended','finished',1.79565248541387534149e+09,'{"node":"sum","type":"Add","seconds":1.6e-05}','');
INSERT INTO "event" VALUES(12,'ended','started',1.79565248541387748721e+09,'{"node":"shown","type":"Tell"}','');
INSERT INTO "event" VALUES(13,'ended','finished',1.79565248541388201714e+09,'{"node":"shown","type":"Tell","seconds":1.4e-05,"files":[],"shown":{"text":["it is 5"]}}','');
INSERT INTO "event" VALUES(14,'ended','job_finished',1.7956524854260568619e+09,'{"state":"done","seconds":0.020685,"executed":3,"cached":0,"failed":0,"skipped":0}','');
INSERT INTO "event" VALUES(17,'waiting','job_queued',1.7956524854578688145e+09,'{"number":2.0}','');
CREATE TABLE job(
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, priority INTEGER NOT NULL,
    number REAL NOT NULL, user TEXT NOT NULL, client TEXT NOT NULL,
    max_attempts INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, owner TEXT,
    device TEXT, created REAL NOT NULL, started REAL, finished REAL, result BLOB, bytes INTEGER NOT NULL);
INSERT INTO "job" VALUES(1,'ended','done',0,1.0,'default','',2,1,0,NULL,'cpu',1.79565248536839962008e+09,1.79565248538771486284e+09,1.79565248542578744881e+09,X'7A78018D924D6E83301085AF12794D11492069D8F5025D7517A1C8C044B16A8CE59F3651C4DD3B6330285516D920337AFEE6CD1BDF59EF9DF6CEB2F2CEECA5FF5574380B09583956C9527370755862C2AD845D15AC1A862161DAF4B5846E12C3151AEFA025DD5918EB18027C47DF80465EC39B4B1010FB5B683DFF40D3AB1641599A6DB2DD7BB1D9EE0F87C37E9DE7799130D5B76489BC11170FEEA68195ECD37735186CD10AAB25BF6129B6D6DC8042ADF2526237C71D5D380B252C79C052EC59A405BC65050E447617F8474BB2853C0EF33A779DEE2237663BD9FE02291FD1418089BE6C7A9DE6018EAEC198DEC44171279D0E11CD5935925B7BFA9F985071F33F5C7ACC6683A853078E87088493635E14382D7BCAE6013626B490F0EABCFBAC4A58CDCAED332AB10233E6F2409DD259B093C1E3F89CB2EA2932A0F0590E7FEE84EE0F',564);
INSERT INTO "job" VALUES(2,'waiting','queued',3,2.0,'default','',2,0,0,NULL,NULL,1.79565248545239377025e+09,NULL,NULL,NULL,257);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('number',2);
INSERT INTO "meta" VALUES('paused',1);
INSERT INTO "meta" VALUES('seq',18);
CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN DELETE FROM asked WHERE n = old.n; END;
CREATE INDEX job_queue ON job(state, priority DESC, number, n);
CREATE INDEX job_ended ON job(state, finished, bytes);
CREATE INDEX event_job ON event(job, seq);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('job',2);
COMMIT;