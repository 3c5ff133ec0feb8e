-- What the table says this process runs: compared with what it holds, once a second and after every error.
SELECT id, epoch, cancel_at IS NOT NULL AS cancelled, cancel_reason, queue FROM queue.job WHERE worker_id = $1 AND state = 3
