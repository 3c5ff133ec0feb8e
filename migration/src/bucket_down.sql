-- Takes the second migration back. Segments without a digest cannot stay.
DROP TABLE spool.bucket;
DELETE FROM spool.segment WHERE sha256 IS NULL;
ALTER TABLE spool.segment DROP CONSTRAINT segment_received_has_sha256, DROP COLUMN defect;
ALTER TABLE spool.segment ALTER COLUMN sha256 SET NOT NULL;
