-- Events go out: what they tell, who is told, and how far each receiver is.

-- Why an endpoint is told nothing: no running program has it in its settings, or it answered that it is gone.
ALTER TABLE spool.webhook_endpoint ADD COLUMN disabled_reason text;
UPDATE spool.webhook_endpoint SET disabled_reason = 'unconfigured' WHERE NOT enabled;
ALTER TABLE spool.webhook_endpoint
  ADD CONSTRAINT webhook_endpoint_disabled_reason CHECK (enabled = (disabled_reason IS NULL)),
  ADD CONSTRAINT webhook_endpoint_disabled_reason_known CHECK (disabled_reason IN ('unconfigured', 'gone'));

ALTER TABLE spool.webhook_delivery
  ADD COLUMN due_at timestamptz NOT NULL DEFAULT now(),   -- since when it is to go out; a replay begins anew
  ADD COLUMN epoch bigint NOT NULL DEFAULT 0,             -- of the attempt that tried last: an older one changes nothing
  DROP CONSTRAINT webhook_delivery_state_known,
  ADD CONSTRAINT webhook_delivery_state_known CHECK (state IN ('pending', 'delivered', 'parked', 'skipped'));
-- For whoever asks how an endpoint stands. What is next for a recording is found by the primary key.
DROP INDEX spool.webhook_delivery_open;
CREATE INDEX webhook_delivery_pending ON spool.webhook_delivery (endpoint, due_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_parked ON spool.webhook_delivery (endpoint, due_at) WHERE state = 'parked';
CREATE INDEX webhook_delivery_last ON spool.webhook_delivery (endpoint, last_at DESC) WHERE last_at IS NOT NULL;

-- Whether events of this type leave Spool. The program has the same list.
CREATE FUNCTION spool.is_told(type text) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT is_told.type IN (
      'recording.archived', 'recording.cancelled', 'recording.deleted', 'recording.failed', 'recording.finalizing',
      'recording.preview_ready', 'recording.ready', 'recording.reopened')
  $$;

-- How a recording stands, as its events tell it: everything a web app decides by.
CREATE FUNCTION spool.event_facts(recording spool.recording) RETURNS jsonb
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT jsonb_build_object(
      'id', recording.id, 'owner_id', recording.owner_id, 'state', recording.state,
      'provisional', recording.provisional, 'plan_version', recording.plan_version,
      'tail_confirmed', recording.tail_confirmed, 'degraded', recording.degraded, 'gaps', recording.gaps,
      'segments_missing',
        (SELECT coalesce(sum(jsonb_array_length(gap -> 'segments')), 0) FROM jsonb_array_elements(recording.gaps) AS gap),
      'result', CASE WHEN recording.result_key IS NOT NULL THEN jsonb_build_object(
        'version', recording.result_version, 'bytes', recording.result_bytes, 'sha256', encode(recording.result_sha256, 'hex'),
        'duration_ms', recording.duration_ms, 'width', recording.width, 'height', recording.height, 'fps', recording.fps,
        'video_codec', recording.video_codec, 'audio_codec', recording.audio_codec) END,
      'error', CASE WHEN recording.error_code IS NOT NULL THEN jsonb_build_object(
        'code', recording.error_code, 'message', coalesce(recording.error_message, '')) END)
  $$;

-- Sees that somebody delivers what waits for an endpoint. A job that backs off is left to it: its receiver is in trouble.
CREATE FUNCTION spool.put_courier(recording_id text, owner_id text, endpoint text) RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  lane text;
BEGIN
  -- Where nobody has declared the kind, enqueue would raise, and a web app's completion call would fail for it.
  SELECT k.queue INTO lane FROM queue.kind k WHERE k.kind = 'webhook';
  IF lane IS NULL THEN
    RETURN;
  END IF;
  PERFORM queue.enqueue(
    queue.uuid_v7(), lane, 'webhook',
    jsonb_build_object('recording', put_courier.recording_id, 'endpoint', put_courier.endpoint),
    put_courier.recording_id, put_courier.owner_id,
    'webhook:' || put_courier.recording_id || ':' || put_courier.endpoint, NULL, 'hasten');
  -- A caller that wakes workers itself knows nothing of this queue. A change of state is rare, unlike a segment.
  IF coalesce(current_setting('queue.quiet', true), '') = 'on' THEN
    PERFORM pg_notify('queue_ready', lane);
  END IF;
END
$$;

-- Writes the next event of a recording and returns its sequence number; null when there is no such recording.
-- The counter lies in the recording's row, so two writers of one recording go one after the other and no number is
-- missing or given twice. The caller that changes the state holds that row already.
--
-- An event of the recording itself also says how the recording stands (a word of the caller's wins), and when a receiver
-- is to hear of it, its delivery and the job that delivers are written with it: both or neither.
-- Lock order: the recording's row, then the job's.
CREATE OR REPLACE FUNCTION spool.append_event(recording_id text, type text, body jsonb) RETURNS bigint
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  told spool.recording%ROWTYPE;
  facts jsonb := coalesce(append_event.body, '{}');
  receiver record;
BEGIN
  UPDATE spool.recording r SET event_seq = r.event_seq + 1 WHERE r.id = append_event.recording_id
    RETURNING r.* INTO told;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF append_event.type LIKE 'recording.%' THEN
    facts := spool.event_facts(told) || facts;
  END IF;
  INSERT INTO spool.event (recording_id, seq, type, body)
    VALUES (told.id, told.event_seq, append_event.type, facts);

  IF told.webhook IS NOT NULL AND spool.is_told(append_event.type) THEN
    SELECT e.name, e.enabled INTO receiver FROM spool.webhook_endpoint e WHERE e.name = told.webhook;
    IF FOUND THEN
      INSERT INTO spool.webhook_delivery (recording_id, endpoint, seq) VALUES (told.id, receiver.name, told.event_seq);
      -- What waits for an endpoint that is told nothing goes out when it is told again.
      IF receiver.enabled THEN
        PERFORM spool.put_courier(told.id, told.owner_id, receiver.name);
      END IF;
    END IF;
  END IF;
  RETURN told.event_seq;
END
$$;

-- Events of a recording go out again, in order: with `from_seq` every one from that number on, also to an endpoint that
-- never heard of them; without it those that were parked.
-- Answers: ok: <how many> · not-found (no such recording) · no-endpoint · disabled: <why> · nothing
CREATE FUNCTION spool.op_webhook_replay(
  recording_id text, endpoint text, from_seq bigint, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  told spool.recording%ROWTYPE;
  receiver spool.webhook_endpoint%ROWTYPE;
  waiting uuid;
  n integer;
  -- Above that of every attempt so far: one that is delivering right now learns that its try no longer counts, and what
  -- it delivers meanwhile goes out once more in its place.
  fence bigint := nextval('queue.epoch_seq');
BEGIN
  -- The job looks for the last time under this lock: what is made pending here is seen by it, or a new job is put in.
  SELECT * INTO told FROM spool.recording r WHERE r.id = op_webhook_replay.recording_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  SELECT * INTO receiver FROM spool.webhook_endpoint e WHERE e.name = coalesce(op_webhook_replay.endpoint, told.webhook);
  IF NOT FOUND THEN
    RETURN 'no-endpoint';
  END IF;
  IF NOT receiver.enabled THEN
    RETURN 'disabled: ' || receiver.disabled_reason;
  END IF;

  IF op_webhook_replay.from_seq IS NULL THEN
    UPDATE spool.webhook_delivery d SET state = 'pending', tries = 0, due_at = now(), epoch = fence
     WHERE d.recording_id = told.id AND d.endpoint = receiver.name AND d.state = 'parked';
  ELSE
    INSERT INTO spool.webhook_delivery AS d (recording_id, endpoint, seq, epoch)
      SELECT e.recording_id, receiver.name, e.seq, fence FROM spool.event e
       WHERE e.recording_id = told.id AND e.seq >= op_webhook_replay.from_seq AND spool.is_told(e.type)
      ON CONFLICT (recording_id, endpoint, seq)
        DO UPDATE SET state = 'pending', tries = 0, due_at = now(), epoch = fence;
  END IF;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n = 0 THEN
    RETURN 'nothing';
  END IF;
  PERFORM spool.put_courier(told.id, told.owner_id, receiver.name);
  -- A person who asks does not wait for a back-off.
  SELECT j.id INTO waiting FROM queue.job j
   WHERE j.unique_key = 'webhook:' || told.id || ':' || receiver.name AND j.state = 4;
  IF FOUND THEN
    PERFORM queue.op_run_now(waiting, actor, via, reason);
  END IF;
  PERFORM queue.log_op(
    'webhook_replay',
    jsonb_build_object('recording', told.id, 'endpoint', receiver.name, 'from', op_webhook_replay.from_seq),
    n, NULL, actor, via, reason);
  RETURN 'ok: ' || n;
END
$$;
