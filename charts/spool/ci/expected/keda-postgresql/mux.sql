SELECT count(*) FROM (
  SELECT FROM queue.queue AS q
  CROSS JOIN (VALUES (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state)
  CROSS JOIN LATERAL (
    SELECT FROM queue.job AS job
    WHERE job.queue = q.name AND job.state = s.state
      AND job.run_at <= CASE WHEN s.state IN (2, 3) THEN 'infinity'::timestamptz ELSE now() END
    ORDER BY job.run_at, job.id LIMIT 36
  ) AS job
  WHERE q.name IN ('mux', 'preview')
    AND (s.state = 3 OR q.paused_at IS NULL OR q.paused_until <= now())
  LIMIT 36
) AS load
