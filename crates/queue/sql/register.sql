INSERT INTO queue.worker (id, pod, node, version, kinds, slots, busy, lease_until)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, 0, now() + $7::float8 * interval '1 millisecond')
ON CONFLICT (id) DO NOTHING
