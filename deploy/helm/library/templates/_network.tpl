{{/* A policy per process: what it needs, and names to find it by. */}}
{{- define "closedloop.network.to" -}}
{{- $to := index . 0 -}}
{{- $ports := index . 1 -}}
- ports:
{{- range $ports }}
    - {protocol: TCP, port: {{ . }}}
{{- end }}
{{- with $to }}
  to: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "closedloop.network.policy" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
{{- $v := $.Values -}}
{{- $n := $v.networkPolicy -}}
{{- $ours := list (dict "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/part-of" "closedloop"))) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{- include "closedloop.metadata" (list $ $process (printf "%s-%s" (include "closedloop.fullname" $) $process)) | nindent 2 }}
spec:
  podSelector:
    matchLabels: {{- include "closedloop.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- if has $process (list "migrate" "test") }}
  ingress: []
{{- else }}
  ingress:
{{- if eq $process "api" }}
    - from: {{- concat $ours $n.clients | toYaml | nindent 8 }}
      ports: [{protocol: TCP, port: {{ $v.ports.grpc }}}]
{{- end }}
{{- if and (eq $process "courier") $v.webhooks.enabled $v.service.webhooks }}
    - from: {{- toYaml $n.webhooks | nindent 8 }}
      ports: [{protocol: TCP, port: {{ $v.ports.webhooks }}}]
{{- end }}
    - from: {{- toYaml $n.monitoring | nindent 8 }}
      ports: [{protocol: TCP, port: {{ $v.ports.operations }}}]
{{- end }}
  egress:
    - to: {{- toYaml $n.dns | nindent 8 }}
      ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- if ne $process "test" }}
{{- $own := list (dict "podSelector" (dict "matchLabels" (dict "cnpg.io/cluster" (printf "%s-db" (include "closedloop.fullname" $))))) }}
    {{- include "closedloop.network.to" (list (ternary $own $n.database $v.database.cloudnativePg.enabled) (list $v.database.port)) | nindent 4 }}
{{- end }}
{{- if eq $process "courier" }}
    {{- include "closedloop.network.to" (list ($n.broker | default ((($v.global).broker).to)) (list $v.broker.port)) | nindent 4 }}
{{- with $v.outside.ports }}
    {{- include "closedloop.network.to" (list $n.outside .) | nindent 4 }}
{{- end }}
{{- end }}
{{- if has $process (list "api" "reactor") }}
    {{- include "closedloop.network.to" (list ($n.cache | default ((($v.global).cache).to)) (list $v.cache.port)) | nindent 4 }}
{{- range $v.service.peers }}
{{- $peer := list (dict "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" (printf "closedloop-%s" .) "app.kubernetes.io/component" "api"))) }}
    {{- include "closedloop.network.to" (list $peer (list $v.ports.grpc)) | nindent 4 }}
{{- end }}
{{- end }}
{{- if and (eq $process "api") (include "closedloop.jwks.url" $) }}
{{- $host := (include "closedloop.jwks.url" $ | urlParse).host }}
    {{- include "closedloop.network.to" (list $n.jwks (list (regexFind ":[0-9]+$" $host | trimPrefix ":" | default "443" | int))) | nindent 4 }}
{{- end }}
{{- if and $v.settings.otlp_endpoint (not (has $process (list "migrate" "test"))) }}
{{- $host := (urlParse $v.settings.otlp_endpoint).host }}
    {{- include "closedloop.network.to" (list $n.telemetry (list (regexFind ":[0-9]+$" $host | trimPrefix ":" | default "80" | int))) | nindent 4 }}
{{- end }}
{{- if eq $process "test" }}
    {{- include "closedloop.network.to" (list (list (dict "podSelector" (dict "matchLabels" (include "closedloop.selector" (list $ "api") | fromYaml)))) (list $v.ports.grpc)) | nindent 4 }}
{{- end }}
{{- end }}

{{- define "closedloop.network" -}}
{{- if .Values.networkPolicy.enabled }}
{{- $processes := list "api" "courier" "test" }}
{{- if .Values.reactor.own }}{{ $processes = append $processes "reactor" }}{{ end }}
{{- if .Values.migrations.enabled }}{{ $processes = append $processes "migrate" }}{{ end }}
{{- range $processes }}
---
{{ include "closedloop.network.policy" (list $ .) }}
{{- end }}
{{- end }}
{{- end }}
