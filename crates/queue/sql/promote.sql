-- Rows whose time has come. SKIP LOCKED: every process does this, none waits for another.
UPDATE queue.job AS job SET state = 2, ready_seq = nextval('queue.ready_seq'), rev = job.rev + 1
WHERE job.id = ANY (ARRAY(
  SELECT due.id FROM queue.job AS due WHERE due.state IN (1, 4) AND due.run_at <= now()
    AND ($2::uuid IS NULL OR due.id = $2)
  ORDER BY due.run_at LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING job.queue
