-- Leaves initialization sections to the store alone.
ALTER TABLE spool.segment DROP COLUMN body;
