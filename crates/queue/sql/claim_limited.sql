-- Takes rows of one queue that has limits; its row in queue.queue is locked by the statement before this one, so the
-- counts are exact: nobody else claims in this queue, and whoever completes only lowers them.
-- $1 worker, $2 queue, $3 kinds, $4 newest payload versions, $5 free slots, $6 longest run in seconds by kind,
-- $7 most running of the queue, $8 most running of one key.
WITH running AS MATERIALIZED (
  SELECT busy.conc_key, count(*) AS n FROM queue.job AS busy WHERE busy.queue = $2 AND busy.state = 3 GROUP BY busy.conc_key
), seen AS MATERIALIZED (
  SELECT ready.*, lane.free
  FROM unnest($3::text[], $4::int2[], $5::int4[]) AS lane (kind, ver, free)
  CROSS JOIN LATERAL (
    SELECT r.id, r.kind, r.priority, r.ready_seq, r.conc_key FROM queue.job AS r
    WHERE r.queue = $2 AND r.kind = lane.kind AND r.state = 2 AND r.schema_ver <= lane.ver
      AND ($8::int4 IS NULL OR r.conc_key IS NULL
           OR r.conc_key <> ALL (ARRAY(SELECT f.conc_key FROM running AS f WHERE f.n >= $8::int4 AND f.conc_key IS NOT NULL)))
    ORDER BY r.priority, r.ready_seq
    LIMIT 500
  ) AS ready
), turned AS (
  SELECT s.*, coalesce(f.n, 0) + row_number() OVER (PARTITION BY s.conc_key ORDER BY s.priority, s.ready_seq) AS of_key
  FROM seen AS s LEFT JOIN running AS f ON f.conc_key = s.conc_key
), fair AS (
  SELECT t.*, row_number() OVER (PARTITION BY t.kind ORDER BY t.priority, CASE WHEN t.conc_key IS NULL THEN 1 ELSE t.of_key END, t.ready_seq) AS of_kind
  FROM turned AS t WHERE $8::int4 IS NULL OR t.conc_key IS NULL OR t.of_key <= $8::int4
), chosen AS (
  SELECT f.id FROM fair AS f WHERE f.of_kind <= f.free
  ORDER BY f.priority, f.of_kind
  LIMIT CASE WHEN $7::int4 IS NULL THEN 100000
             ELSE greatest($7::int4 - (SELECT coalesce(sum(r.n), 0) FROM running AS r), 0) END
)
UPDATE queue.job AS job
SET state = 3, ready_seq = NULL, attempt = job.attempt + 1, rev = job.rev + 1, epoch = nextval('queue.epoch_seq'),
    worker_id = $1, started_at = now(),
    deadline_at = now() + ($6::jsonb ->> job.kind)::float8 * interval '1 second'
WHERE job.id = ANY (ARRAY(
  SELECT ready.id FROM queue.job AS ready
  WHERE ready.id = ANY (ARRAY(SELECT c.id FROM chosen AS c)) AND ready.state = 2
    AND EXISTS (SELECT FROM queue.worker AS w WHERE w.id = $1 AND w.lease_until > now())
  FOR UPDATE SKIP LOCKED))
RETURNING job.id, job.queue, job.kind, job.epoch, job.attempt, job.max_attempts, job.crashes, job.priority, job.subject,
  job.owner_id, extract(epoch FROM now() - job.created_at)::float8 AS age_s, job.payload::text AS payload,
  job.checkpoint::text AS checkpoint, extract(epoch FROM now() - job.run_at)::float8 AS wait_s,
  (SELECT floor(extract(epoch FROM before.created_at) / 60)::int8 FROM queue.job AS before
   WHERE before.id = job.id AND before.started_at IS NULL) AS born_minute
