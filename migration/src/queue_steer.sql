-- What an operator may do to a queue, a worker or a recording's storage check. Same answers and audit as the verbs on jobs.

-- No new claims from this queue; running jobs finish. `pause_for` null: until resumed.
CREATE FUNCTION queue.op_pause(queue text, pause_for interval, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  lane queue.queue%ROWTYPE;
BEGIN
  SELECT * INTO lane FROM queue.queue q WHERE q.name = op_pause.queue FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  UPDATE queue.queue q
     SET paused_at = now(), paused_by = op_pause.actor, paused_reason = op_pause.reason, paused_until = now() + op_pause.pause_for
   WHERE q.name = lane.name;
  PERFORM pg_notify('queue_ctl', 'pause:' || lane.name);
  PERFORM queue.log_op('pause', jsonb_build_object('queue', lane.name, 'for', pause_for), 1, to_jsonb(lane), actor, via, reason);
  RETURN 'ok';
END
$$;

CREATE FUNCTION queue.op_resume(queue text, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  lane queue.queue%ROWTYPE;
BEGIN
  SELECT * INTO lane FROM queue.queue q WHERE q.name = op_resume.queue FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  IF lane.paused_at IS NULL THEN
    RETURN 'wrong-state: running';
  END IF;
  UPDATE queue.queue q SET paused_at = NULL, paused_by = NULL, paused_reason = NULL, paused_until = NULL WHERE q.name = lane.name;
  PERFORM pg_notify('queue_ctl', 'resume:' || lane.name);
  PERFORM queue.log_op('resume', jsonb_build_object('queue', lane.name), 1, to_jsonb(lane), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Sets both limits of a queue; null: no limit.
CREATE FUNCTION queue.op_limit(queue text, max_running integer, key_max integer, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  lane queue.queue%ROWTYPE;
BEGIN
  SELECT * INTO lane FROM queue.queue q WHERE q.name = op_limit.queue FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  UPDATE queue.queue q SET max_running = op_limit.max_running, key_max = op_limit.key_max WHERE q.name = lane.name;
  PERFORM pg_notify('queue_ctl', 'limit:' || lane.name);
  PERFORM queue.log_op('limit',
                       jsonb_build_object('queue', lane.name, 'max_running', op_limit.max_running, 'key_max', op_limit.key_max),
                       1, to_jsonb(lane), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Asks a worker to claim nothing more, to finish or hand back what it runs, and to leave.
CREATE FUNCTION queue.op_drain(worker_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  process queue.worker%ROWTYPE;
BEGIN
  SELECT * INTO process FROM queue.worker w WHERE w.id = op_drain.worker_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  UPDATE queue.worker w SET draining = true WHERE w.id = process.id;
  PERFORM pg_notify('queue_ctl', 'drain:' || process.id);
  PERFORM queue.log_op('drain', jsonb_build_object('worker', process.id), 1, to_jsonb(process), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Asks a worker to compare a recording's rows with the store. It changes no other job, so a role that may only look may
-- call it, at most once per recording in 10 s ('too-soon'). 'unavailable': no worker of this version can do it.
CREATE FUNCTION queue.op_probe(recording_id text, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  probe_key text := 'probe:' || recording_id;
BEGIN
  IF NOT EXISTS (SELECT FROM queue.kind k WHERE k.kind = 'probe') THEN
    RETURN 'unavailable';
  END IF;
  -- A role that may only look must not be able to fill queue and audit with text of its own.
  IF op_probe.recording_id ~ '^[A-Za-z0-9_-]{1,64}$' IS NOT TRUE THEN
    RETURN 'not-found';
  END IF;
  -- Two callers at once would both find no request; the second waits here until it can see the first one's.
  PERFORM pg_advisory_xact_lock(hashtext('queue.op_probe'), hashtext(op_probe.recording_id));
  IF EXISTS (SELECT FROM queue.op_log l
              WHERE l.at > clock_timestamp() - interval '10 seconds'
                AND l.action = 'probe' AND l.selector ->> 'recording' = recording_id) THEN
    RETURN 'too-soon';
  END IF;
  PERFORM queue.enqueue(queue.uuid_v7(), NULL, 'probe', jsonb_build_object('recording', recording_id), recording_id, NULL,
                        probe_key, NULL, 'hasten');
  PERFORM queue.log_op('probe', jsonb_build_object('recording', recording_id), 1, NULL, actor, via, reason);
  RETURN 'ok';
END
$$;
