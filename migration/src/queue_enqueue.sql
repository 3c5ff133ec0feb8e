-- Enqueue for every caller that speaks SQL, inside the caller's own transaction.

-- The word for a state, as people read it.
CREATE FUNCTION queue.state_word(state smallint) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$ SELECT (ARRAY['pending', 'scheduled', 'available', 'running', 'retryable'])[state + 1] $$;

-- The word for the outcome of a job.
CREATE FUNCTION queue.outcome_word(outcome smallint) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$ SELECT (ARRAY['completed', 'discarded', 'cancelled', 'superseded'])[outcome + 1] $$;

-- A uuid v7 of this moment: 48 bits of milliseconds, the version, and the rest of a random v4, whose variant bits fit.
CREATE FUNCTION queue.uuid_v7() RETURNS uuid
  LANGUAGE sql VOLATILE
  SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
  $$;

-- The moment inside a uuid v7; null for any other uuid.
CREATE FUNCTION queue.uuid_time(id uuid) RETURNS timestamptz
  LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  digits text := replace(id::text, '-', '');
BEGIN
  IF substr(digits, 13, 1) <> '7' THEN
    RETURN NULL;
  END IF;
  RETURN to_timestamp(('x' || lpad(left(digits, 12), 16, '0'))::bit(64)::bigint / 1000.0);
END
$$;

-- Puts a job on its queue and says under which id it lives and whether it is new. Never raises because of a duplicate,
-- so the caller's transaction goes on. Raises 22023 for a kind nobody has declared.
--   run_at       null or past: available at once; future: scheduled
--   on_conflict  'keep' leaves the job that holds the key as it is; 'hasten' also brings a waiting one forward
CREATE FUNCTION queue.enqueue(
  id uuid, queue text, kind text, payload jsonb, subject text, owner_id text, unique_key text,
  run_at timestamptz, on_conflict text DEFAULT 'keep')
  RETURNS TABLE (job_id uuid, inserted boolean)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
#variable_conflict use_column
DECLARE
  -- Each further round needs a claim or an end of the other job in between, so even a few rounds are rare.
  rounds_max CONSTANT integer := 100;
  rule queue.kind%ROWTYPE;
  holder queue.job%ROWTYPE;
  born timestamptz;
  due boolean := coalesce(enqueue.run_at <= now(), true);
  -- A caller that wakes the workers itself after its commit says so: a commit that notifies takes a lock all such commits share.
  loud boolean := coalesce(current_setting('queue.quiet', true), '') <> 'on';
BEGIN
  SELECT * INTO rule FROM queue.kind k WHERE k.kind = enqueue.kind;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'unknown job kind "%"', enqueue.kind USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF enqueue.on_conflict NOT IN ('keep', 'hasten') THEN
    RAISE EXCEPTION 'on_conflict is "keep" or "hasten", not "%"', enqueue.on_conflict
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  enqueue.id := coalesce(enqueue.id, queue.uuid_v7());
  enqueue.queue := coalesce(enqueue.queue, rule.queue);
  IF enqueue.queue IS NULL THEN
    RAISE EXCEPTION 'job kind "%" has no queue of its own, so the caller must name one', enqueue.kind
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  rule.unique_mask := coalesce(rule.unique_mask, 31);
  job_id := enqueue.id;
  inserted := false;

  FOR round IN 1 .. rounds_max LOOP
    -- No conflict target: it covers the id and the unique key. If another transaction holds either and is still open,
    -- this waits for its end.
    INSERT INTO queue.job (id, queue, kind, schema_ver, owner_id, subject, priority, state, ready_seq, run_at, max_attempts,
                           unique_key, unique_mask, conc_key, on_end, payload)
      VALUES (enqueue.id, enqueue.queue, enqueue.kind, rule.schema_ver, enqueue.owner_id, enqueue.subject, rule.priority,
              CASE WHEN due THEN 2 ELSE 1 END, CASE WHEN due THEN nextval('queue.ready_seq') END,
              coalesce(enqueue.run_at, now()), rule.max_attempts,
              enqueue.unique_key, CASE WHEN enqueue.unique_key IS NOT NULL THEN rule.unique_mask END,
              enqueue.owner_id, rule.on_end, coalesce(enqueue.payload, '{}'))
      ON CONFLICT DO NOTHING;

    IF FOUND THEN
      -- A caller whose commit was answered by silence asks again with the same id. Meanwhile the first copy may have run
      -- and gone to the archive. Looking there before the insert would miss a copy that ends between the two; looking
      -- after it cannot, because the insert succeeded only once the live row was gone and its archive row committed.
      born := coalesce(queue.uuid_time(enqueue.id), now());
      IF EXISTS (SELECT FROM queue.job_archive a
                  WHERE a.id = enqueue.id
                    AND a.finished_at BETWEEN born - interval '1 day' AND born + interval '1 day') THEN
        DELETE FROM queue.job j WHERE j.id = enqueue.id;
      ELSE
        inserted := true;
        IF due AND loud THEN
          PERFORM pg_notify('queue_ready', enqueue.queue);
        END IF;
      END IF;
      RETURN NEXT;
      RETURN;
    END IF;

    PERFORM FROM queue.job j WHERE j.id = enqueue.id;
    IF FOUND THEN
      RETURN NEXT;
      RETURN;
    END IF;

    SELECT * INTO holder FROM queue.job j
     WHERE j.unique_key = enqueue.unique_key AND (j.unique_mask >> j.state) & 1 = 1;
    -- The holder was claimed or ended between the insert and this look: its key is free, so insert again.
    CONTINUE WHEN NOT FOUND;

    IF enqueue.on_conflict = 'hasten' THEN
      -- A snooze may be cut short; a back-off may not, else each new segment would hammer a store that is down.
      -- Only a check may, because a signal must not wait for the back-off of a look that came before it.
      UPDATE queue.job j
         SET run_at = least(j.run_at, coalesce(enqueue.run_at, now())),
             state = CASE WHEN due THEN 2 ELSE j.state END,
             ready_seq = CASE WHEN due THEN nextval('queue.ready_seq') END,
             rev = j.rev + 1
       WHERE j.id = holder.id
         AND (j.state = 1 OR (j.state = 4 AND j.unique_key LIKE 'check:%'))
         AND (due OR j.run_at > enqueue.run_at);
      IF FOUND AND due AND loud THEN
        PERFORM pg_notify('queue_ready', holder.queue);
      END IF;
    END IF;

    IF (holder.unique_mask >> 3) & 1 = 0 THEN
      -- This kind may wait once while it runs. The waiting row must not be claimed before the caller's changes are
      -- visible, or the run would miss the very event it was meant for: claims skip locked rows, so lock it until the
      -- caller's end. If it was claimed while this waited for the lock, it is no longer waiting: insert again.
      PERFORM FROM queue.job j
        WHERE j.id = holder.id AND (j.unique_mask >> j.state) & 1 = 1
        FOR SHARE;
      CONTINUE WHEN NOT FOUND;
    END IF;

    job_id := holder.id;
    RETURN NEXT;
    RETURN;
  END LOOP;
  RAISE EXCEPTION 'the unique key "%" changed hands % times during one enqueue', enqueue.unique_key, rounds_max
    USING ERRCODE = 'serialization_failure';
END
$$;

-- Enqueues what a job that ended discarded or cancelled asked for, for the same subject, in the same transaction.
-- Does nothing when nothing was asked for, or when nobody has declared that kind: raising would keep the ended job from
-- ending. Returns the id of the new job.
CREATE FUNCTION queue.follow_up(
  on_end text, ended_id uuid, ended_kind text, ended_key text, subject text, owner_id text,
  outcome smallint, error_class text, error text)
  RETURNS uuid
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$
DECLARE
  follower uuid;
BEGIN
  IF follow_up.on_end IS NULL OR follow_up.outcome NOT IN (1, 2) THEN
    RETURN NULL;
  END IF;
  IF NOT EXISTS (SELECT FROM queue.kind k WHERE k.kind = follow_up.on_end AND k.queue IS NOT NULL) THEN
    RETURN NULL;
  END IF;
  SELECT e.job_id INTO follower
    FROM queue.enqueue(
      queue.uuid_v7(), NULL, follow_up.on_end,
      jsonb_build_object(
        'subject', follow_up.subject,
        'ended', jsonb_build_object(
          'job_id', follow_up.ended_id, 'kind', follow_up.ended_kind, 'unique_key', follow_up.ended_key,
          'outcome', queue.outcome_word(follow_up.outcome),
          'error_class', follow_up.error_class, 'error', left(follow_up.error, 200))),
      follow_up.subject, follow_up.owner_id, NULL, NULL) e;
  RETURN follower;
END
$$;
