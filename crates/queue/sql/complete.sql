-- Writes the end of attempts: one row of `done` each, fenced by id, epoch and worker; a row that is no longer ours
-- matches nothing. Below 10 the job ends and moves to the archive, else it goes back to waiting.
-- The fence names no state: with it the planner reads a small partial index full of dead versions.
-- A cancel that an operator asked for wins over every way of going back.
gone AS (
  DELETE FROM queue.job AS job USING done
  WHERE job.id = done.id AND job.epoch = done.epoch AND job.worker_id = done.worker
    AND (done.turn < 10 OR job.cancel_at IS NOT NULL)
  RETURNING job.*, CASE WHEN done.turn < 10 THEN done.turn ELSE 2::int2 END AS turn,
    CASE WHEN done.turn < 10 THEN nullif(done.reason, '') ELSE job.cancel_reason END AS reason,
    nullif(done.class, '') AS new_class, nullif(done.error, '') AS new_error,
    CASE WHEN done.template <> '' THEN substring(sha256(convert_to(done.template, 'UTF8')) FOR 16) END AS new_fp
), back AS (
  UPDATE queue.job AS job
  SET state = CASE WHEN done.turn IN (10, 11) THEN 4 WHEN done.turn = 12 AND done.delay_ms > 0 THEN 1 ELSE 2 END,
      ready_seq = CASE WHEN done.turn = 13 OR (done.turn = 12 AND done.delay_ms = 0) THEN nextval('queue.ready_seq') END,
      run_at = now() + done.delay_ms * interval '1 millisecond',
      attempt = job.attempt - CASE WHEN done.turn > 10 THEN 1 ELSE 0 END,
      snoozes = job.snoozes + CASE WHEN done.turn = 12 THEN 1 ELSE 0 END,
      rev = job.rev + 1, epoch = NULL, worker_id = NULL, deadline_at = NULL,
      error_class = coalesce(nullif(done.class, ''), job.error_class),
      error = CASE WHEN done.class <> '' THEN left(done.error, 200) ELSE job.error END,
      error_fp = CASE WHEN done.template <> '' THEN substring(sha256(convert_to(done.template, 'UTF8')) FOR 16)
                      ELSE job.error_fp END
  FROM done
  WHERE done.turn >= 10 AND job.cancel_at IS NULL
    AND job.id = done.id AND job.epoch = done.epoch AND job.worker_id = done.worker
  RETURNING job.id, job.kind, job.attempt + CASE WHEN done.turn > 10 THEN 1 ELSE 0 END AS attempt, done.epoch, done.worker,
    done.turn, nullif(done.class, '') AS new_class, nullif(done.error, '') AS new_error, job.started_at,
    CASE WHEN done.template <> '' THEN job.error_fp END AS new_fp
), archived AS (
  INSERT INTO queue.job_archive (id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, ready_seq, run_at,
    attempt, max_attempts, crashes, snoozes, epoch, worker_id, started_at, deadline_at, cancel_at, cancel_reason,
    unique_key, unique_mask, conc_key, on_end, error_class, error_fp, error, payload, trace, checkpoint, created_at,
    finished_at, outcome, reason)
  SELECT id, queue, kind, schema_ver, owner_id, subject, rev + 1, priority, state, ready_seq, run_at,
    attempt, max_attempts, crashes, snoozes, epoch, worker_id, started_at, deadline_at, cancel_at, cancel_reason,
    unique_key, unique_mask, conc_key, on_end,
    CASE WHEN turn = 0 THEN NULL ELSE coalesce(new_class, error_class) END,
    CASE WHEN turn = 0 THEN NULL ELSE coalesce(new_fp, error_fp) END,
    CASE WHEN turn = 0 THEN NULL ELSE coalesce(left(new_error, 200), error) END,
    payload, trace, checkpoint, created_at, now(), turn, reason
  FROM gone
), tried AS (
  INSERT INTO queue.attempt (job_id, attempt, epoch, kind, worker_id, started_at, ended_at, outcome, error_class, error_fp, error)
  SELECT id, attempt, epoch, kind, worker_id, started_at, now(),
    CASE turn WHEN 0 THEN 0 WHEN 1 THEN 3 WHEN 2 THEN 4 ELSE 1 END, new_class, new_fp, new_error
  FROM gone
  UNION ALL
  SELECT id, attempt, epoch, kind, worker, started_at, now(),
    CASE WHEN turn = 12 THEN 2 WHEN turn = 13 THEN 6 ELSE 1 END, new_class, new_fp, new_error
  FROM back
), unseen AS (
  DELETE FROM queue.progress AS seen USING gone WHERE seen.job_id = gone.id
)
