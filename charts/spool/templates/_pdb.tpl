{{/* One pod at a time may be evicted; one that is broken anyway must not hold up the drain of a node. */}}
{{- define "spool.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "spool.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "spool.selector" . | nindent 6 }}
{{- end -}}
