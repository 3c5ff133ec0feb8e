{{/* Names and labels. Names are cut so that what is appended to them still fits what Kubernetes allows. */}}

{{- define "spool.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "spool.fullname" -}}
{{- $name := include "spool.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "spool.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "spool.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What finds the pods of one component and no others: (dict "root" $ "component" "work" "pool" "io"). */}}
{{- define "spool.selector" -}}
app.kubernetes.io/name: {{ include "spool.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
spool/pool: {{ . }}
{{- end }}
{{- end -}}

{{/* Every label of an object; takes the same, and a component is optional. */}}
{{- define "spool.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: spool
{{- if .component }}
{{ include "spool.selector" . }}
{{- else }}
app.kubernetes.io/name: {{ include "spool.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: without the chart's version, which would replace every pod for a word in a comment. */}}
{{- define "spool.podLabels" -}}
{{ include "spool.selector" . }}
app.kubernetes.io/part-of: spool
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The image of a process; "image" may override single keys. A digest wins over a tag. */}}
{{- define "spool.image" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (deepCopy (default (dict) .image)) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "spool.pullPolicy" -}}
{{- (mergeOverwrite (deepCopy .root.Values.image) (deepCopy (default (dict) .image))).pullPolicy -}}
{{- end -}}
