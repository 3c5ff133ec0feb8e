{{/*
config.toml. A scalar or a list of words reads the same in JSON and in TOML, and JSON keeps whole numbers whole, which
Helm's own TOML does not.
*/}}
{{- define "spool.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "http" (mergeOverwrite (default (dict) $config.http) (dict "listen" "0.0.0.0:8080" "drain" (printf "%ds" (int .Values.serve.drainTimeoutSeconds)))) -}}
{{- $_ := set $config "work" (dict "listen" "0.0.0.0:9091") -}}
{{- $_ := set $config "staging" (mergeOverwrite (default (dict) $config.staging) (dict "mode" .Values.staging.mode "dir" "/var/lib/spool/staging")) -}}
{{- $_ := set $config "mux" (mergeOverwrite (default (dict) $config.mux) (dict "scratch_max" (printf "%sB" .Values.scratch.perMux))) -}}
{{- if eq $config.storage.service "fs" -}}
{{- $_ := set $config.storage "root" "/var/lib/spool/objects" -}}
{{- end -}}
{{- range $section, $keys := $config }}
{{- $tables := dict }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{- if kindIs "map" $value }}
{{- $_ := set $tables $key $value }}
{{- else if not (kindIs "invalid" $value) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{ range $table, $rows := $tables }}
{{- range $row, $cells := $rows }}
[{{ $section }}.{{ $table }}.{{ $row }}]
{{- range $key, $value := $cells }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "spool.configName" -}}
{{ include "spool.fullname" . }}-config
{{- end -}}

{{/* Keys of the store are needed where the program is told them. */}}
{{- define "spool.hasStorageKeys" -}}
{{- if and (eq .Values.config.storage.service "s3") (ne (default "keys" .Values.config.storage.identity) "machine") }}true{{ end -}}
{{- end -}}

{{- define "spool.hasEndpoints" -}}
{{- if (default (dict) .Values.config.webhook).endpoints }}true{{ end -}}
{{- end -}}

{{/* Only who delivers needs what deliveries are signed with. */}}
{{- define "spool.signsDeliveries" -}}
{{- if and (include "spool.hasEndpoints" .root) (has "webhook" (default (list) .of.queues)) }}true{{ end -}}
{{- end -}}

{{/* Files of secrets that a process reads, as sources of a projected volume: (dict "root" $ "of" $pool "serve" true). */}}
{{- define "spool.secretSources" -}}
{{- $values := .root.Values -}}
- secret:
    name: {{ $values.database.existingSecret }}
    items:
      - {key: {{ $values.database.urlKey }}, path: database-url}
{{- if include "spool.hasStorageKeys" .root }}
- secret:
    name: {{ $values.storage.existingSecret }}
    items:
      - {key: {{ $values.storage.accessKeyIdKey }}, path: access-key-id}
      - {key: {{ $values.storage.secretAccessKeyKey }}, path: secret-access-key}
{{- end }}
{{- if include "spool.signsDeliveries" . }}
- secret:
    name: {{ $values.webhook.existingSecret }}
    items:
      - {key: {{ $values.webhook.secretsKey }}, path: webhook-secrets}
{{- end }}
{{- if .serve }}
- secret:
    name: {{ $values.auth.existingSecret }}
    items:
      - {key: {{ $values.auth.serviceTokensKey }}, path: service-tokens}
      - {key: {{ $values.auth.signingKeysKey }}, path: signing-keys}
{{- end }}
{{- end -}}

{{/* The environment of a process that stays; takes the same. */}}
{{- define "spool.env" -}}
- {name: SPOOL_CONFIG, value: /etc/spool/config.toml}
- {name: DATABASE_URL_FILE, value: /run/secrets/spool/database-url}
{{- if include "spool.hasStorageKeys" .root }}
- {name: SPOOL__STORAGE__ACCESS_KEY_ID_FILE, value: /run/secrets/spool/access-key-id}
- {name: SPOOL__STORAGE__SECRET_ACCESS_KEY_FILE, value: /run/secrets/spool/secret-access-key}
{{- end }}
{{- if include "spool.signsDeliveries" . }}
- {name: SPOOL__WEBHOOK__SECRETS_FILE, value: /run/secrets/spool/webhook-secrets}
{{- end }}
{{- if .serve }}
- {name: SPOOL__AUTH__SERVICE_TOKENS_FILE, value: /run/secrets/spool/service-tokens}
- {name: SPOOL__AUTH__SIGNING_KEYS_FILE, value: /run/secrets/spool/signing-keys}
{{- end }}
{{- end -}}

{{/* The environment of a command that needs the database alone, and how to reach it. */}}
{{- define "spool.databaseEnv" -}}
- {name: DATABASE_URL_FILE, value: /run/secrets/spool/database-url}
{{- range $key, $value := .Values.config.database }}
- {name: SPOOL__DATABASE__{{ upper $key }}, value: {{ toString $value | quote }}}
{{- end }}
{{- end -}}
