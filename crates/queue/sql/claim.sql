-- Takes rows of every lane in one statement. $1 worker, $2 queues, $3 kinds, $4 newest payload versions, $5 free slots,
-- $6 longest run in seconds by kind.
-- `= ANY(ARRAY(…))` keeps the index in a generic plan; a join falls back to reading the table.
-- A worker whose row is gone or whose lease has ended claims nothing: its jobs would be taken back at once, and each
-- would be charged a crash.
-- `born_minute` looks at the row as it was before: a job that nobody has started is new, and its minute is counted.
-- Queues that are paused or have limits are left out: the first wait, the second are claimed under a lock of their row.
UPDATE queue.job AS job
SET state = 3, ready_seq = NULL, attempt = job.attempt + 1, rev = job.rev + 1, epoch = nextval('queue.epoch_seq'),
    worker_id = $1, started_at = now(),
    deadline_at = now() + ($6::jsonb ->> job.kind)::float8 * interval '1 second'
WHERE job.id = ANY (ARRAY(
  SELECT picked.id
  FROM unnest($2::text[], $3::text[], $4::int2[], $5::int4[]) AS lane (queue, kind, ver, free)
  CROSS JOIN LATERAL (
    SELECT ready.id FROM queue.job AS ready
    WHERE ready.queue = lane.queue AND ready.kind = lane.kind AND ready.state = 2 AND ready.schema_ver <= lane.ver
    ORDER BY ready.priority, ready.ready_seq
    LIMIT lane.free
    FOR UPDATE SKIP LOCKED
  ) AS picked
  WHERE EXISTS (SELECT FROM queue.worker AS w WHERE w.id = $1 AND w.lease_until > now()) AND lane.queue <> ALL (ARRAY(
    SELECT q.name FROM queue.queue AS q
    WHERE (q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now()))
       OR q.max_running IS NOT NULL OR q.key_max IS NOT NULL))
))
RETURNING job.id, job.queue, job.kind, job.epoch, job.attempt, job.max_attempts, job.crashes, job.priority, job.subject,
  job.owner_id, extract(epoch FROM now() - job.created_at)::float8 AS age_s, job.payload::text AS payload,
  job.checkpoint::text AS checkpoint, extract(epoch FROM now() - job.run_at)::float8 AS wait_s,
  (SELECT floor(extract(epoch FROM before.created_at) / 60)::int8 FROM queue.job AS before
   WHERE before.id = job.id AND before.started_at IS NULL) AS born_minute
