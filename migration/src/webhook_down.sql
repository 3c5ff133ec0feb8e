-- Takes the migration of webhooks back.
DROP FUNCTION spool.op_webhook_replay(text, text, bigint, text, text, text);

CREATE OR REPLACE FUNCTION spool.append_event(recording_id text, type text, body jsonb) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  next_seq bigint;
BEGIN
  UPDATE spool.recording r SET event_seq = r.event_seq + 1 WHERE r.id = append_event.recording_id
    RETURNING r.event_seq INTO next_seq;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO spool.event (recording_id, seq, type, body)
    VALUES (append_event.recording_id, next_seq, append_event.type, coalesce(append_event.body, '{}'));
  RETURN next_seq;
END
$$;

DROP FUNCTION spool.put_courier(text, text, text), spool.event_facts(spool.recording), spool.is_told(text);

DROP INDEX spool.webhook_delivery_pending, spool.webhook_delivery_parked, spool.webhook_delivery_last;
UPDATE spool.webhook_delivery SET state = 'delivered' WHERE state = 'skipped';
ALTER TABLE spool.webhook_delivery
  DROP COLUMN due_at, DROP COLUMN epoch,
  DROP CONSTRAINT webhook_delivery_state_known,
  ADD CONSTRAINT webhook_delivery_state_known CHECK (state IN ('pending', 'delivered', 'parked'));
CREATE INDEX webhook_delivery_open ON spool.webhook_delivery (endpoint, recording_id, seq) WHERE state <> 'delivered';
ALTER TABLE spool.webhook_endpoint DROP COLUMN disabled_reason;
