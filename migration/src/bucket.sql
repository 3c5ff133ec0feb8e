-- Recordings that another uploader writes straight into the bucket.

-- Of such a segment only the heads of its boxes are read, so nobody knows a digest of all its bytes.
ALTER TABLE spool.segment ALTER COLUMN sha256 DROP NOT NULL;
ALTER TABLE spool.segment ADD COLUMN defect text;   -- of a lost one: the bytes are in the store and are not a segment
ALTER TABLE spool.segment
  ADD CONSTRAINT segment_received_has_sha256 CHECK (state <> 'received' OR sha256 IS NOT NULL),
  ADD CONSTRAINT segment_defect_is_lost CHECK (defect IS NULL OR state = 'lost');

CREATE TABLE spool.bucket (
  recording_id    text PRIMARY KEY REFERENCES spool.recording ON DELETE CASCADE,
  looked_at       timestamptz,   -- when the last look began
  hastened_at     timestamptz,   -- when a viewer last asked for a look
  newest_at       timestamptz,   -- when a look last found something new
  manifest_stamp  text,          -- of the manifest that was read last, readable or not
  claimed         jsonb          -- every index that any readable manifest named; it only grows
);
