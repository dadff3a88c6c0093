{{/* What each process is told: exactly what it reads, secrets by reference only. */}}
{{- define "closedloop.tlsSecret" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "closedloop.fullname" .)) }}
{{- end }}

{{- define "closedloop.env.secret" -}}
{{- if not (index . 1) }}{{ fail (index . 3) }}{{ end }}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 | quote }}}
{{- end }}

{{/* Maps and lists are JSON, as pydantic-settings reads them; whole numbers have no exponent. */}}
{{- define "closedloop.env.value" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else if or (kindIs "map" .) (kindIs "slice" .) }}{{ toJson . | quote }}{{ else if kindIs "float64" . }}{{ printf "%v" (ternary (int64 .) . (eq (floor .) .)) | quote }}{{ else }}{{ toString . | quote }}{{ end }}
{{- end }}

{{- define "closedloop.env.settings" -}}
{{- $prefix := index . 1 -}}
{{- range $name, $value := index . 0 }}
- name: {{ $prefix }}{{ upper $name }}
  value: {{ include "closedloop.env.value" $value }}
{{- end }}
{{- end }}

{{/* Where a grace has room: whole seconds of a setting. */}}
{{- define "closedloop.drainSeconds" -}}
{{ .Values.settings.drain_seconds | default 10 | toString | float64 | ceil | int }}
{{- end }}

{{- define "closedloop.database.secret" -}}
{{- if .Values.database.cloudnativePg.enabled }}{{ include "closedloop.fullname" . }}-db-app{{ else }}{{ .Values.database.existingSecret }}{{ end -}}
{{- end }}
{{- define "closedloop.database.key" -}}
{{ ternary "uri" .Values.database.key .Values.database.cloudnativePg.enabled }}
{{- end }}

{{/* (list $ "api" | "courier" | "reactor" | "migrate") */}}
{{- define "closedloop.env" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
{{- $v := $.Values -}}
{{- $global := $v.global | default dict -}}
{{- $database := include "closedloop.database.secret" $ -}}
{{- $asked := "set database.existingSecret to a Secret with the database's URL (or database.cloudnativePg.enabled)" -}}
{{- if and (eq $process "migrate") $v.database.migrations.existingSecret -}}
{{- include "closedloop.env.secret" (list "CLOSEDLOOP_DATABASE_URL" $v.database.migrations.existingSecret $v.database.migrations.key $asked) }}
{{- else -}}
{{- include "closedloop.env.secret" (list "CLOSEDLOOP_DATABASE_URL" $database (include "closedloop.database.key" $) $asked) }}
{{- end }}
{{- $reader := and $v.database.cloudnativePg.enabled $v.database.cloudnativePg.reader.existingSecret -}}
{{- include "closedloop.env.settings" (list (ternary (merge (dict) $v.settings (dict "report_reader" "closedloop_reader")) $v.settings (not (empty $reader))) "CLOSEDLOOP_") }}
{{- if ne $process "migrate" }}
- name: CLOSEDLOOP_METRICS_ADDRESS
  value: {{ printf "%s:%v" $v.listen $v.ports.operations | quote }}
{{- $outside := $v.service.outside }}
{{- if $outside }}
{{- include "closedloop.env.settings" (list $v.outside.settings $outside.prefix) }}
{{- if and $v.outside.existingSecret $outside.folder }}
- name: {{ $outside.folder }}
  value: /etc/closedloop/outside
{{- else if $v.outside.existingSecret }}
{{- range $outside.secrets }}
- name: {{ $outside.prefix }}{{ upper . }}
  valueFrom:
    secretKeyRef: {name: {{ $v.outside.existingSecret }}, key: {{ . }}, optional: true}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $process "courier" }}
{{- $broker := $global.broker | default dict }}
{{- $secret := $v.broker.existingSecret | default $broker.existingSecret }}
{{- $key := ternary $v.broker.key ($broker.key | default $v.broker.key) (not (empty $v.broker.existingSecret)) }}
{{- include "closedloop.env.secret" (list "CLOSEDLOOP_AMQP_URL" $secret $key "set broker.existingSecret to a Secret with amqp://…") }}
- name: CLOSEDLOOP_WEBHOOK_ADDRESS
  value: {{ printf "%s:%v" $v.listen $v.ports.webhooks | quote }}
{{- include "closedloop.env.settings" (list $v.courierSettings "CLOSEDLOOP_COURIER_") }}
{{- end }}
{{- if has $process (list "api" "reactor") }}
- name: CLOSEDLOOP_REACTOR
  value: {{ ternary "own" "api" $v.reactor.own }}
{{- $cache := $global.cache | default dict }}
{{- if $v.cache.existingSecret }}
{{- include "closedloop.env.secret" (list "CLOSEDLOOP_REDIS_URL" $v.cache.existingSecret $v.cache.key "") }}
{{- else }}
- name: CLOSEDLOOP_REDIS_URL
  value: {{ required "set cache.url to redis://… or cache.existingSecret" ($v.cache.url | default $cache.url) | quote }}
{{- end }}
{{- if $v.service.peers }}
{{- $peers := dict }}
{{- range $v.service.peers }}
{{- $_ := set $peers . (printf "dns:///closedloop-%s.%s.svc:%v" . $.Release.Namespace $v.ports.grpc) }}
{{- end }}
- name: CLOSEDLOOP_PEERS
  value: {{ merge ($v.peers | default dict) $peers | toJson | quote }}
- name: CLOSEDLOOP_SERVICE_TOKEN_FILE
  value: /etc/closedloop/token/token
{{- if $v.tls.enabled }}
- name: CLOSEDLOOP_TLS_SERVER_CA
  value: /etc/closedloop/tls/ca.crt
{{- end }}
{{- end }}
{{- if $v.tls.enabled }}
- name: CLOSEDLOOP_TLS_CERTIFICATE
  value: /etc/closedloop/tls/tls.crt
- name: CLOSEDLOOP_TLS_KEY
  value: /etc/closedloop/tls/tls.key
{{- if $v.tls.mutual }}
- name: CLOSEDLOOP_TLS_CLIENT_CA
  value: /etc/closedloop/tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- if eq $process "api" }}
- name: CLOSEDLOOP_GRPC_ADDRESS
  value: {{ printf "%s:%v" $v.listen $v.ports.grpc | quote }}
- name: CLOSEDLOOP_JWKS
  value: {{ include "closedloop.jwks" $ | quote }}
{{- end }}
{{- end }}

{{- define "closedloop.jwks.url" -}}
{{ .Values.tokens.jwksUrl | default ((.Values.global).tokens).jwksUrl | default "" }}
{{- end }}
{{- define "closedloop.jwks.configMap" -}}
{{ .Values.tokens.jwksConfigMap | default ((.Values.global).tokens).jwksConfigMap | default "" }}
{{- end }}
{{- define "closedloop.jwks" -}}
{{- $url := include "closedloop.jwks.url" . -}}
{{- if not (or $url (include "closedloop.jwks.configMap" .)) }}{{ fail "set tokens.jwksUrl or tokens.jwksConfigMap: without keys nobody may call" }}{{ end -}}
{{ $url | default "/etc/closedloop/jwks/jwks.json" }}
{{- end }}
