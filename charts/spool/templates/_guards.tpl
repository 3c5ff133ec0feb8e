{{/*
What contradicts itself is refused before anything is changed, in a sentence that says what to do.
The form of single values is the business of values.schema.json.
*/}}

{{/* Time that a process needs after its drain to hand its jobs back and to end. */}}
{{- define "spool.handBackSeconds" }}10{{ end -}}

{{- define "spool.guards" -}}
{{- $margin := int (include "spool.handBackSeconds" .) -}}
{{- $serve := .Values.serve -}}
{{- $needed := add (int $serve.preStopSeconds) (int $serve.drainTimeoutSeconds) $margin -}}
{{- if lt (int64 $serve.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "serve.terminationGracePeriodSeconds is %d, but it must be at least preStopSeconds + drainTimeoutSeconds + %d = %d, so that a pod ends before it is killed" (int $serve.terminationGracePeriodSeconds) $margin $needed) -}}
{{- end -}}
{{- if eq .Values.staging.mode "local" -}}
{{- if ne (int $serve.replicas) 1 -}}
{{- fail (printf "staging.mode is local, where acknowledged bytes wait on one volume, so serve.replicas must be 1 and not %d; with staging.mode store there may be any number" (int $serve.replicas)) -}}
{{- end -}}
{{- end -}}
{{- include "spool.guardStorage" . -}}
{{- range $name, $pool := include "spool.pools" . | fromJson -}}
{{- include "spool.guardPool" (dict "root" $ "name" $name "pool" $pool "margin" $margin) -}}
{{- end -}}
{{- end -}}

{{- define "spool.guardStorage" -}}
{{- $storage := .Values.config.storage -}}
{{- if and (eq $storage.service "s3") (not $storage.bucket) -}}
{{- fail "config.storage.service is s3, so config.storage.bucket must name a bucket" -}}
{{- end -}}
{{- if and (eq $storage.service "fs") (not .Values.storage.existingClaim) -}}
{{- fail "config.storage.service is fs, which every pod must see: name a claim that many pods may mount (ReadWriteMany) in storage.existingClaim, or use s3" -}}
{{- end -}}
{{- end -}}

{{- define "spool.guardPool" -}}
{{- $path := printf "workers.pools.%s" .name -}}
{{- $pool := .pool -}}
{{- if not $pool.queues -}}
{{- if eq .root.Values.staging.mode "local" -}}
{{- fail (printf "%s works nothing but ingest, which with staging.mode local only `serve` can work; give it another queue or set %s.enabled to false" $path $path) -}}
{{- end -}}
{{- fail (printf "%s.queues is missing: name the queues that this pool works" $path) -}}
{{- end -}}
{{- $needed := add (int $pool.drainTimeoutSeconds) .margin -}}
{{- if lt (int64 $pool.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, but it must be at least drainTimeoutSeconds + %d = %d, so that running jobs are handed back before the pod is killed" $path (int $pool.terminationGracePeriodSeconds) .margin $needed) -}}
{{- end -}}
{{- if ne $pool.autoscaling.mode "none" -}}
{{- if gt (int $pool.autoscaling.minReplicas) (int $pool.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is %d and maxReplicas is %d; the least must not be more than the most" $path (int $pool.autoscaling.minReplicas) (int $pool.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- $hpa := printf "keda-hpa-%s" $pool.fullname -}}
{{- if gt (len $hpa) 63 -}}
{{- fail (printf "KEDA would name the autoscaler of %s %s, which is longer than 63 characters; set a shorter fullnameOverride" $path $hpa) -}}
{{- end -}}
{{- end -}}
{{- end -}}
