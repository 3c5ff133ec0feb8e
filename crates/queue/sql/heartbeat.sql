-- Renews the lease of this process. No row: the process was given up and its jobs were taken back.
UPDATE queue.worker SET lease_until = now() + $2::float8 * interval '1 millisecond', busy = $3, slots = $4, kinds = $5::jsonb,
  draining = draining OR $6
WHERE id = $1
RETURNING draining
