-- A million rows, indexes, a join, deletions; prints what can be compared.
PRAGMA journal_mode = off;
PRAGMA synchronous = off;
CREATE TABLE a (id INTEGER PRIMARY KEY, k INTEGER, t TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO a SELECT i, i * 7919 % 100003, 'row ' || i || substr('----------------------------', 1, i % 28) FROM n;
CREATE INDEX a_k ON a (k);
CREATE TABLE b AS SELECT k, count(*) AS c, max(t) AS m FROM a GROUP BY k;
SELECT count(*), sum(k), sum(length(t)) FROM a;
SELECT count(*), sum(c), max(m) FROM b;
SELECT count(*) FROM a JOIN b ON a.k = b.k WHERE b.c > 9;
DELETE FROM a WHERE id % 3 = 0;
VACUUM;
SELECT count(*), sum(id) FROM a;
SELECT group_concat(t, ',') FROM (SELECT t FROM a ORDER BY t DESC LIMIT 20);
PRAGMA integrity_check;
