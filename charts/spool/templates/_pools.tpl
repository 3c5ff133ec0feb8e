{{/*
The pools that run, as JSON: name → its values over workers.defaults, and with
  queues   without "ingest" where only `serve` sees the staging volume
  total    jobs that one pod runs at once: the slots of its queues
  target   jobs that one pod should own, for the autoscaler
*/}}
{{- define "spool.pools" -}}
{{- $root := . -}}
{{- $pools := dict -}}
{{- range $name, $own := .Values.workers.pools -}}
{{- $pool := mergeOverwrite (deepCopy $root.Values.workers.defaults) (deepCopy (default (dict) $own)) -}}
{{- if $pool.enabled -}}
{{- $queues := list -}}
{{- $total := 0 -}}
{{- range $queue := $pool.queues -}}
{{- if not (and (eq $queue "ingest") (eq $root.Values.staging.mode "local")) -}}
{{- $queues = append $queues $queue -}}
{{- $total = add $total (int (get $pool.slots $queue)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $pool "queues" $queues -}}
{{- $_ := set $pool "total" $total -}}
{{- $_ := set $pool "target" (int (default $total $pool.autoscaling.target)) -}}
{{- $_ := set $pool "fullname" (printf "%s-work-%s" (include "spool.fullname" $root) $name) -}}
{{- $_ := set $pools $name $pool -}}
{{- end -}}
{{- end -}}
{{- toJson $pools -}}
{{- end -}}

{{/*
How much there is to do for a pool: what runs, and what could run now. One number, never NULL.

Each queue and state is read through the index (queue, state, run_at, id): its state comes from a row and its times are one
range, so that no other plan is worth a thought, however old the statistics are. Nothing is counted beyond what the most
pods could run. What waits in a paused queue no pod may run; what runs there still needs its pods.
*/}}
{{- define "spool.load" -}}
{{- $cap := mul (int .autoscaling.maxReplicas) (int .target) -}}
{{- $queues := list -}}
{{- range .queues }}{{- $queues = append $queues (squote .) -}}{{- end -}}
SELECT count(*) FROM (
  SELECT 1
  FROM unnest(ARRAY[{{ join ", " $queues }}]) AS lane (name)
  LEFT JOIN queue.queue AS q ON q.name = lane.name AND q.paused_at IS NOT NULL AND (q.paused_until IS NULL OR q.paused_until > now())
  JOIN (VALUES (3::smallint, 'infinity'::timestamptz), (2, 'infinity'), (4, now()), (1, now())) AS s (state, due)
    ON q.name IS NULL OR s.state = 3
  CROSS JOIN LATERAL (
    SELECT 1 FROM queue.job AS j
    WHERE j.queue = lane.name AND j.state = s.state AND j.run_at <= s.due
    ORDER BY j.run_at, j.id LIMIT {{ $cap }}
  ) AS one
  LIMIT {{ $cap }}
) AS load
{{- end -}}
