{{/*
What every pod has: who it is, where it may run, what it may touch.
(dict "root" $ "component" "work" "pool" "io" "of" $pool "grace" 60 "serve" false)
*/}}
{{- define "spool.podMetadata" -}}
labels:
  {{- include "spool.podLabels" . | nindent 2 }}
  {{- with .of.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # A process reads its settings once, at its start.
  checksum/config: {{ include "spool.config" .root | sha256sum }}
  {{- with .of.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "spool.podPlace" -}}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := include "spool.selector" . }}
  {{- range .of.topologySpreadConstraints }}
  - maxSkew: {{ int .maxSkew }}
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "spool.podIdentity" -}}
serviceAccountName: {{ include "spool.serviceAccountName" . }}
automountServiceAccountToken: false
# Kubernetes would put a variable for every Service of the namespace into the environment.
enableServiceLinks: false
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Brings the schema up to date before the process starts. Any number of pods may do that at once: one works, the others wait. */}}
{{- define "spool.migration" -}}
- name: migrate
  image: {{ include "spool.image" (dict "root" .root "image" .of.image) }}
  imagePullPolicy: {{ include "spool.pullPolicy" (dict "root" .root "image" .of.image) }}
  args: [migrate]
  env:
    {{- include "spool.databaseEnv" .root | nindent 4 }}
  securityContext:
    {{- toYaml .root.Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .root.Values.migrations.resources | nindent 4 }}
  volumeMounts:
    - {name: migrate-secrets, mountPath: /run/secrets/spool, readOnly: true}
    - {name: scratch, mountPath: /tmp}
{{- end -}}

{{- define "spool.probes" -}}
# Before the API and the queues are opened, the database and the store are tried out.
startupProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 2
  failureThreshold: 60
# Never asks the database: one that is away is no reason to kill a process that works.
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 3
{{- end -}}

{{- define "spool.mounts" -}}
- {name: config, mountPath: /etc/spool, readOnly: true}
- {name: secrets, mountPath: /run/secrets/spool, readOnly: true}
- {name: scratch, mountPath: /tmp}
{{- if eq .root.Values.staging.mode "local" }}
- name: {{ ternary "staging" "scratch" (default false .serve) }}
  mountPath: /var/lib/spool/staging
  {{- if not .serve }}
  subPath: staging
  {{- end }}
{{- end }}
{{- if eq .root.Values.config.storage.service "fs" }}
- {name: objects, mountPath: /var/lib/spool/objects}
{{- end }}
{{- with .of.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A quantity of Mi, Gi or Ti in Mi. */}}
{{- define "spool.mebibytes" -}}
{{- $number := int64 (trimSuffix "Mi" . | trimSuffix "Gi" | trimSuffix "Ti") -}}
{{- if hasSuffix "Ti" . }}{{ mul $number 1048576 }}{{ else if hasSuffix "Gi" . }}{{ mul $number 1024 }}{{ else }}{{ $number }}{{ end -}}
{{- end -}}

{{/* Size of a pod's /tmp: each result that is made at once may lay its odd tracks down there. */}}
{{- define "spool.scratchSize" -}}
{{- $scratch := .root.Values.scratch -}}
{{- if has "mux" (default (list) .of.queues) -}}
{{- $room := mul (int (get .of.slots "mux")) (int64 (include "spool.mebibytes" $scratch.perMux)) -}}
{{- printf "%dMi" (add $room (int64 (include "spool.mebibytes" $scratch.sizeLimit))) -}}
{{- else -}}
{{- $scratch.sizeLimit -}}
{{- end -}}
{{- end -}}

{{- define "spool.volumes" -}}
- name: config
  configMap:
    name: {{ include "spool.configName" .root }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "spool.secretSources" . | nindent 6 }}
{{- if eq .root.Values.migrations.mode "init" }}
- name: migrate-secrets
  {{- include "spool.migrateSecrets" .root | nindent 2 }}
{{- end }}
- name: scratch
  emptyDir:
    sizeLimit: {{ include "spool.scratchSize" . }}
{{- if eq .root.Values.config.storage.service "fs" }}
- name: objects
  persistentVolumeClaim:
    claimName: {{ .root.Values.storage.existingClaim }}
{{- end }}
{{- with .of.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The address of a role that may change the schema, where there is one of its own. */}}
{{- define "spool.migrateSecrets" -}}
projected:
  defaultMode: 0440
  sources:
    - secret:
        name: {{ default .Values.database.existingSecret .Values.database.migrate.existingSecret }}
        items:
          - {key: {{ default .Values.database.urlKey .Values.database.migrate.urlKey }}, path: database-url}
{{- end -}}
