-- Takes the first migration back, rows and all.
DROP SCHEMA queue CASCADE;
DROP FUNCTION spool.recording_complete(text), spool.append_event(text, text, jsonb), spool.schema_version(),
  spool.schema_oldest();
DROP TABLE spool.webhook_delivery, spool.webhook_endpoint, spool.event, spool.listing, spool.plan, spool.segment,
  spool.liveness, spool.recording, spool.setting;
