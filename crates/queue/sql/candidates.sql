-- The jobs that rescue would take, for going through them one by one when a batch was refused.
SELECT job.id FROM queue.job AS job
WHERE job.state = 3 AND (
  NOT EXISTS (SELECT FROM queue.worker AS w WHERE w.id = job.worker_id AND w.lease_until >= now())
  OR job.deadline_at < now() - $1::float8 * interval '1 millisecond')
LIMIT 500
