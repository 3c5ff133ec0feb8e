-- What an operator may do to one job. Each verb locks the row, checks its state, changes it and writes the audit in one
-- transaction, and answers in one word or a word with its object:
--   ok · requested · not-found · wrong-state: <state or outcome> · superseded-by: <job id>
-- Only a change is audited; a refused request has changed nothing.

CREATE FUNCTION queue.log_op(action text, selector jsonb, n integer, before jsonb, actor text, via text, reason text)
  RETURNS void
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
  AS $$
    INSERT INTO queue.op_log (actor, via, action, selector, n, reason, before)
      VALUES (actor, via, action, selector, n, reason, before)
  $$;

-- Moves a locked waiting job to the archive and enqueues its follow-up.
CREATE FUNCTION queue.end_waiting(job queue.job, outcome smallint, reason text) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp
  AS $$
BEGIN
  DELETE FROM queue.job j WHERE j.id = job.id;
  DELETE FROM queue.progress p WHERE p.job_id = job.id;
  INSERT INTO queue.job_archive (
      id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, ready_seq, run_at, attempt, max_attempts, crashes,
      snoozes, epoch, worker_id, started_at, deadline_at, cancel_at, cancel_reason, unique_key, unique_mask, conc_key, on_end,
      error_class, error_fp, error, payload, trace, checkpoint, created_at, finished_at, outcome, reason)
    VALUES (
      job.id, job.queue, job.kind, job.schema_ver, job.owner_id, job.subject, job.rev + 1, job.priority, job.state,
      job.ready_seq, job.run_at, job.attempt, job.max_attempts, job.crashes, job.snoozes, job.epoch, job.worker_id,
      job.started_at, job.deadline_at, job.cancel_at, job.cancel_reason, job.unique_key, job.unique_mask, job.conc_key,
      job.on_end, job.error_class, job.error_fp, job.error, job.payload, job.trace, job.checkpoint, job.created_at,
      now(), end_waiting.outcome, end_waiting.reason);
  PERFORM queue.follow_up(job.on_end, job.id, job.kind, job.unique_key, job.subject, job.owner_id,
                          end_waiting.outcome, job.error_class, coalesce(end_waiting.reason, job.error));
END
$$;

-- The answer for a job that is not live: its outcome when it has ended.
CREATE FUNCTION queue.not_live(job_id uuid) RETURNS text
  LANGUAGE sql STABLE
  SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT coalesce(
      (SELECT 'wrong-state: ' || queue.outcome_word(a.outcome)
         FROM queue.job_archive a WHERE a.id = job_id ORDER BY a.finished_at DESC LIMIT 1),
      'not-found')
  $$;

-- A retryable job runs now; a discarded or cancelled one comes back from the archive with a fresh budget and the same id.
CREATE FUNCTION queue.op_retry(job_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
  ended queue.job_archive%ROWTYPE;
  taken_by uuid;
BEGIN
  -- Twice: between the look at the live row and the look into the archive another operator may have moved the job back,
  -- so a job found in neither place is looked for once more.
  FOR round IN 1 .. 2 LOOP
    SELECT * INTO live FROM queue.job j WHERE j.id = op_retry.job_id FOR UPDATE;
    IF FOUND THEN
      IF live.state <> 4 THEN
        RETURN 'wrong-state: ' || queue.state_word(live.state);
      END IF;
      UPDATE queue.job j SET state = 2, ready_seq = nextval('queue.ready_seq'), run_at = now(), rev = j.rev + 1
       WHERE j.id = live.id;
      PERFORM pg_notify('queue_ready', live.queue);
      PERFORM queue.log_op('retry', jsonb_build_object('job', live.id), 1, to_jsonb(live), actor, via, reason);
      RETURN 'ok';
    END IF;

    SELECT * INTO ended FROM queue.job_archive a
     WHERE a.id = op_retry.job_id ORDER BY a.finished_at DESC LIMIT 1 FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    IF ended.outcome NOT IN (1, 2) THEN
      RETURN 'wrong-state: ' || queue.outcome_word(ended.outcome);
    END IF;

    -- created_at starts again as well: some kinds give up by age, and an old job would be given up at once.
    INSERT INTO queue.job (
        id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, ready_seq, run_at, max_attempts,
        unique_key, unique_mask, conc_key, on_end, payload, trace, checkpoint)
      VALUES (
        ended.id, ended.queue, ended.kind, ended.schema_ver, ended.owner_id, ended.subject, ended.rev + 1, ended.priority,
        2, nextval('queue.ready_seq'), now(), ended.max_attempts,
        ended.unique_key, ended.unique_mask, ended.conc_key, ended.on_end, ended.payload, ended.trace, ended.checkpoint)
      ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      -- The key has been given to a newer job meanwhile; two of them would run at once.
      SELECT j.id INTO taken_by FROM queue.job j
       WHERE j.unique_key = ended.unique_key AND (j.unique_mask >> j.state) & 1 = 1;
      IF taken_by IS NULL THEN
        CONTINUE;
      END IF;
      RETURN 'superseded-by: ' || taken_by;
    END IF;
    DELETE FROM queue.job_archive a WHERE a.id = ended.id AND a.finished_at = ended.finished_at;
    PERFORM pg_notify('queue_ready', ended.queue);
    PERFORM queue.log_op('retry', jsonb_build_object('job', ended.id), 1, to_jsonb(ended), actor, via, reason);
    RETURN 'ok';
  END LOOP;
  RETURN 'not-found';
END
$$;

-- A waiting job ends at once; a running one is asked to stop and ended by its worker ('requested').
CREATE FUNCTION queue.op_cancel(job_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
BEGIN
  -- A claim or a completion that is just committing is waited for, so exactly one of the two wins.
  SELECT * INTO live FROM queue.job j WHERE j.id = op_cancel.job_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN queue.not_live(op_cancel.job_id);
  END IF;
  PERFORM queue.log_op('cancel', jsonb_build_object('job', live.id), 1, to_jsonb(live), actor, via, reason);
  IF live.state = 3 THEN
    UPDATE queue.job j
       SET cancel_at = coalesce(j.cancel_at, now()), cancel_reason = coalesce(j.cancel_reason, op_cancel.reason), rev = j.rev + 1
     WHERE j.id = live.id;
    PERFORM pg_notify('queue_ctl', 'cancel:' || live.id);
    RETURN 'requested';
  END IF;
  live.cancel_at := now();
  live.cancel_reason := op_cancel.reason;
  PERFORM queue.end_waiting(live, 2::smallint, coalesce(op_cancel.reason, 'cancelled'));
  RETURN 'ok';
END
$$;

-- Gives a waiting job up.
CREATE FUNCTION queue.op_discard(job_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
BEGIN
  SELECT * INTO live FROM queue.job j WHERE j.id = op_discard.job_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN queue.not_live(op_discard.job_id);
  END IF;
  IF live.state = 3 THEN
    RETURN 'wrong-state: running';
  END IF;
  PERFORM queue.log_op('discard', jsonb_build_object('job', live.id), 1, to_jsonb(live), actor, via, reason);
  PERFORM queue.end_waiting(live, 1::smallint, coalesce(op_discard.reason, 'discarded'));
  RETURN 'ok';
END
$$;

-- Puts a waiting job off by `delay` from now. A retryable one stays retryable and keeps its error.
CREATE FUNCTION queue.op_snooze(job_id uuid, delay interval, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
BEGIN
  SELECT * INTO live FROM queue.job j WHERE j.id = op_snooze.job_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN queue.not_live(op_snooze.job_id);
  END IF;
  IF live.state NOT IN (1, 2, 4) THEN
    RETURN 'wrong-state: ' || queue.state_word(live.state);
  END IF;
  UPDATE queue.job j
     SET state = CASE WHEN j.state = 4 THEN 4 ELSE 1 END, ready_seq = NULL, run_at = now() + op_snooze.delay, rev = j.rev + 1
   WHERE j.id = live.id;
  PERFORM queue.log_op('snooze', jsonb_build_object('job', live.id, 'delay', delay), 1, to_jsonb(live), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Makes a scheduled or retryable job available now.
CREATE FUNCTION queue.op_run_now(job_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
BEGIN
  SELECT * INTO live FROM queue.job j WHERE j.id = op_run_now.job_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN queue.not_live(op_run_now.job_id);
  END IF;
  IF live.state NOT IN (1, 4) THEN
    RETURN 'wrong-state: ' || queue.state_word(live.state);
  END IF;
  UPDATE queue.job j SET state = 2, ready_seq = nextval('queue.ready_seq'), run_at = now(), rev = j.rev + 1
   WHERE j.id = live.id;
  PERFORM pg_notify('queue_ready', live.queue);
  PERFORM queue.log_op('run_now', jsonb_build_object('job', live.id), 1, to_jsonb(live), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Sets the priority of a waiting job, 0 first.
CREATE FUNCTION queue.op_priority(job_id uuid, priority smallint, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  live queue.job%ROWTYPE;
BEGIN
  SELECT * INTO live FROM queue.job j WHERE j.id = op_priority.job_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN queue.not_live(op_priority.job_id);
  END IF;
  IF live.state NOT IN (1, 2, 4) THEN
    RETURN 'wrong-state: ' || queue.state_word(live.state);
  END IF;
  UPDATE queue.job j SET priority = op_priority.priority, rev = j.rev + 1 WHERE j.id = live.id;
  PERFORM queue.log_op('priority', jsonb_build_object('job', live.id, 'priority', op_priority.priority), 1,
                       to_jsonb(live), actor, via, reason);
  RETURN 'ok';
END
$$;

-- Removes an ended job from the archive; its attempts stay.
CREATE FUNCTION queue.op_delete(job_id uuid, actor text, via text, reason text) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  live queue.job%ROWTYPE;
  ended queue.job_archive%ROWTYPE;
BEGIN
  SELECT * INTO live FROM queue.job j WHERE j.id = op_delete.job_id FOR UPDATE;
  IF FOUND THEN
    RETURN 'wrong-state: ' || queue.state_word(live.state);
  END IF;
  SELECT * INTO ended FROM queue.job_archive a
   WHERE a.id = op_delete.job_id ORDER BY a.finished_at DESC LIMIT 1 FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'not-found';
  END IF;
  DELETE FROM queue.job_archive a WHERE a.id = ended.id AND a.finished_at = ended.finished_at;
  PERFORM queue.log_op('delete', jsonb_build_object('job', ended.id), 1, to_jsonb(ended), actor, via, reason);
  RETURN 'ok';
END
$$;
