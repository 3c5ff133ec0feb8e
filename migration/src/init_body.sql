-- The bytes of an initialization section, one or two kilobytes, beside its row: whoever takes segments in has to know it,
-- also while the store is away. Null for media segments, for long ones, and for those that did not come through a server.
ALTER TABLE spool.segment
  ADD COLUMN body bytea,
  ADD CONSTRAINT segment_body_is_init CHECK (body IS NULL OR index = 0);
