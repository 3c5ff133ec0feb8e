-- Takes back what nobody works on any more. $1 grace in milliseconds after a start of the database, during which no
-- lease is believed to have ended; $2 most rows; $3 only this job, null: all; $4 how long beyond its deadline a job may
-- still be running, in milliseconds; $5 give way to a newer job of the same key in any case; $6 the moment after which
-- this statement must do nothing.
--
-- A worker is dead when its lease has ended or its row is gone: a restart under the same name gets a new row, so it
-- cannot keep its predecessor's jobs alive. The candidates are looked up without a lock and then locked by id and epoch:
-- the look may be old, and a job that was rescued and claimed again meanwhile has another epoch.
--
-- The story of $6: a server stands still with this statement in its socket, for longer than a lease. When it goes on it
-- runs the statement before any heartbeat, finds every lease ended and takes every job from workers that are alive.
WITH dead AS MATERIALIZED (
  SELECT w.id FROM queue.worker AS w
  WHERE w.lease_until < now() AND now() < $6 AND pg_postmaster_start_time() < now() - $1::float8 * interval '1 millisecond'
  ORDER BY w.id LIMIT 10 FOR UPDATE SKIP LOCKED
), seen AS MATERIALIZED (
  (SELECT job.id, job.epoch, true AS lost FROM queue.job AS job
   WHERE job.state = 3 AND job.worker_id = ANY (ARRAY(SELECT dead.id FROM dead)) AND ($3::uuid IS NULL OR job.id = $3)
   LIMIT $2::int4)
  UNION ALL
  (SELECT job.id, job.epoch, true FROM queue.job AS job
   WHERE job.state = 3 AND now() < $6
     AND NOT EXISTS (SELECT FROM queue.worker AS w WHERE w.id = job.worker_id)
     AND pg_postmaster_start_time() < now() - $1::float8 * interval '1 millisecond' AND ($3::uuid IS NULL OR job.id = $3)
   LIMIT $2::int4)
  UNION ALL
  (SELECT job.id, job.epoch, false FROM queue.job AS job
   WHERE job.state = 3 AND job.deadline_at < now() - $4::float8 * interval '1 millisecond' AND ($3::uuid IS NULL OR job.id = $3)
   LIMIT $2::int4)
), held AS MATERIALIZED (
  SELECT job.*, (SELECT bool_or(s.lost) FROM seen AS s WHERE s.id = job.id) AS lost,
    coalesce((SELECT k.crash_cap FROM queue.kind AS k WHERE k.kind = job.kind), 10) AS crash_cap
  FROM queue.job AS job
  WHERE job.id = ANY (ARRAY(SELECT s.id FROM seen AS s)) AND job.epoch = ANY (ARRAY(SELECT s.epoch FROM seen AS s))
  FOR UPDATE OF job SKIP LOCKED
), taken AS MATERIALIZED (
  SELECT held.*,
    CASE
      WHEN held.cancel_at IS NOT NULL THEN 2::int2
      WHEN held.lost AND held.crashes + 1 >= held.crash_cap THEN 1::int2
      WHEN held.attempt >= held.max_attempts THEN 1::int2
      WHEN $5::boolean OR (held.unique_key IS NOT NULL AND (held.unique_mask >> 3) & 1 = 0 AND EXISTS (
        SELECT FROM queue.job AS newer
        WHERE newer.unique_key = held.unique_key AND newer.id <> held.id AND (newer.unique_mask >> newer.state) & 1 = 1))
        THEN 3::int2
      ELSE 10::int2
    END AS turn,
    CASE
      WHEN held.cancel_at IS NOT NULL THEN held.cancel_reason
      WHEN held.lost AND held.crashes + 1 >= held.crash_cap THEN 'poison'
      WHEN held.attempt >= held.max_attempts THEN 'attempts'
    END AS reason,
    CASE WHEN held.lost THEN 'lost' ELSE 'timeout' END AS new_class,
    CASE WHEN held.lost THEN 'the worker died or lost its lease' ELSE 'ran longer than its kind may, and its worker did not stop it' END AS new_error
  FROM held
), gone AS (
  DELETE FROM queue.job AS job USING taken WHERE job.id = taken.id AND taken.turn < 10 RETURNING job.id
), back AS (
  UPDATE queue.job AS job
  SET state = 2, ready_seq = nextval('queue.ready_seq'), run_at = now(), rev = job.rev + 1,
      crashes = job.crashes + CASE WHEN taken.lost THEN 1 ELSE 0 END, epoch = NULL, worker_id = NULL, deadline_at = NULL,
      error_class = taken.new_class, error = taken.new_error,
      error_fp = substring(sha256(convert_to(taken.new_class, 'UTF8')) FOR 16)
  FROM taken WHERE job.id = taken.id AND taken.turn = 10
  RETURNING job.id
), archived AS (
  INSERT INTO queue.job_archive (id, queue, kind, schema_ver, owner_id, subject, rev, priority, state, ready_seq, run_at,
    attempt, max_attempts, crashes, snoozes, epoch, worker_id, started_at, deadline_at, cancel_at, cancel_reason,
    unique_key, unique_mask, conc_key, on_end, error_class, error_fp, error, payload, trace, checkpoint, created_at,
    finished_at, outcome, reason)
  SELECT id, queue, kind, schema_ver, owner_id, subject, rev + 1, priority, state, ready_seq, run_at,
    attempt, max_attempts, crashes + CASE WHEN lost THEN 1 ELSE 0 END, snoozes, epoch, worker_id, started_at, deadline_at,
    cancel_at, cancel_reason, unique_key, unique_mask, conc_key, on_end,
    coalesce(reason, new_class), substring(sha256(convert_to(new_class, 'UTF8')) FOR 16), new_error, payload, trace,
    checkpoint, created_at, now(), turn, reason
  FROM taken WHERE turn < 10
), tried AS (
  INSERT INTO queue.attempt (job_id, attempt, epoch, kind, worker_id, started_at, ended_at, outcome, error_class, error_fp, error)
  SELECT id, attempt, epoch, kind, worker_id, started_at, now(), 5, new_class,
    substring(sha256(convert_to(new_class, 'UTF8')) FOR 16), new_error
  FROM taken
), unseen AS (
  DELETE FROM queue.progress AS p USING taken WHERE p.job_id = taken.id AND taken.turn < 10
), buried AS (
  -- The row of a dead worker goes with its last job: until then the next round finds it again.
  DELETE FROM queue.worker AS w
  WHERE w.id = ANY (ARRAY(SELECT dead.id FROM dead)) AND $3::uuid IS NULL
    AND (SELECT count(*) FROM seen) = (SELECT count(*) FROM held) AND (SELECT count(*) FROM seen) < $2::int4
)
SELECT taken.id, taken.queue, taken.kind, taken.turn, taken.lost, taken.reason, taken.worker_id, taken.attempt,
  CASE WHEN taken.turn IN (1, 2) AND taken.on_end IS NOT NULL THEN queue.follow_up(taken.on_end, taken.id, taken.kind,
    taken.unique_key, taken.subject, taken.owner_id, taken.turn, coalesce(taken.reason, taken.new_class), taken.new_error) END AS follower
FROM taken
