-- A reason without a class is the handler's own word; an error of an earlier attempt must not stand beside it.
SELECT gone.id, gone.epoch, gone.turn, queue.follow_up(gone.on_end, gone.id, gone.kind, gone.unique_key, gone.subject,
  gone.owner_id, gone.turn, coalesce(gone.new_class, gone.reason, gone.error_class),
  coalesce(left(gone.new_error, 200), CASE WHEN gone.reason IS NULL THEN gone.error END)) AS follower
FROM gone WHERE gone.turn IN (1, 2) AND gone.on_end IS NOT NULL
UNION ALL SELECT gone.id, gone.epoch, gone.turn, NULL FROM gone WHERE NOT (gone.turn IN (1, 2) AND gone.on_end IS NOT NULL)
UNION ALL SELECT back.id, back.epoch, back.turn, NULL FROM back
