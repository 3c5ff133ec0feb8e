-- What happened to a recording, in order, and who has been told.

CREATE TABLE spool.event (
  recording_id  text NOT NULL REFERENCES spool.recording ON DELETE CASCADE,
  seq           bigint NOT NULL,
  type          text NOT NULL,                 -- recording.ready, segment.lost, …: the program holds the list
  body          jsonb NOT NULL,
  at            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (recording_id, seq),
  CONSTRAINT event_type_shape CHECK (type ~ '^[a-z]+\.[a-z_]+$')
);

CREATE TABLE spool.webhook_endpoint (
  name        text PRIMARY KEY,
  url         text NOT NULL,
  format      text NOT NULL DEFAULT 'standard',
  enabled     boolean NOT NULL DEFAULT true,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT webhook_endpoint_format_known CHECK (format IN ('standard', 'compatibility'))
);

CREATE TABLE spool.webhook_delivery (
  recording_id  text NOT NULL,
  endpoint      text NOT NULL REFERENCES spool.webhook_endpoint,
  seq           bigint NOT NULL,
  state         text NOT NULL DEFAULT 'pending',
  tries         integer NOT NULL DEFAULT 0,
  last_status   integer,
  last_error    text,
  first_at      timestamptz,
  last_at       timestamptz,
  PRIMARY KEY (recording_id, endpoint, seq),
  FOREIGN KEY (recording_id, seq) REFERENCES spool.event ON DELETE CASCADE,
  CONSTRAINT webhook_delivery_state_known CHECK (state IN ('pending', 'delivered', 'parked'))
);
CREATE INDEX webhook_delivery_open ON spool.webhook_delivery (endpoint, recording_id, seq) WHERE state <> 'delivered';

-- Writes the next event of a recording and returns its sequence number; null when there is no such recording.
-- The counter lies in the recording's row, so two writers of one recording go one after the other and no number is
-- missing or given twice. The caller that changes the state holds that row already.
CREATE FUNCTION spool.append_event(recording_id text, type text, body jsonb) RETURNS bigint
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
