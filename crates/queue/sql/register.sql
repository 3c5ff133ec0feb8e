-- Makes this process known. Said again when the answer was lost: the lease counts from the last time, as the process
-- itself counts it.
INSERT INTO queue.worker (id, pod, node, version, kinds, slots, busy, lease_until)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, 0, now() + $7::float8 * interval '1 millisecond')
ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until
