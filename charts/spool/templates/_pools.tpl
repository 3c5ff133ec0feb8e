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

{{/* Some pool follows the load. */}}
{{- define "spool.isScaled" -}}
{{- range include "spool.pools" . | fromJson }}{{ if eq .autoscaling.mode "keda-postgresql" }}true{{ end }}{{ end -}}
{{- end -}}

{{/*
How much there is to do for a pool: what runs, and what could run now. The very text of `queue::read::load_sql`, to which a
test holds it; what it counts, and why it is written like this, is told there. Nothing is counted beyond what the most pods
could run.
*/}}
{{- define "spool.load" -}}
{{- $most := mul (int .autoscaling.maxReplicas) (int .target) -}}
{{- $queues := list -}}
{{- range .queues }}{{- $queues = append $queues (squote .) -}}{{- end -}}
SELECT count(*) FROM (
  SELECT FROM queue.queue AS q
  CROSS JOIN (VALUES (1::int2), (2::int2), (3::int2), (4::int2)) AS s (state)
  CROSS JOIN LATERAL (
    SELECT FROM queue.job AS job
    WHERE job.queue = q.name AND job.state = s.state
      AND job.run_at <= CASE WHEN s.state IN (2, 3) THEN 'infinity'::timestamptz ELSE now() END
    ORDER BY job.run_at, job.id LIMIT {{ $most }}
  ) AS job
  WHERE q.name IN ({{ join ", " $queues }})
    AND (s.state = 3 OR q.paused_at IS NULL OR q.paused_until <= now())
  LIMIT {{ $most }}
) AS load
{{- end -}}
