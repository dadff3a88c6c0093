{{/* All objects of one service. */}}
{{- define "closedloop.everything" -}}
{{- if .Values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "closedloop.metadata" (list . "account" (include "closedloop.serviceAccount" .)) | nindent 2 }}
{{- with .Values.serviceAccount.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
{{- end }}
automountServiceAccountToken: false
{{- end }}
---
{{ include "closedloop.services" . }}
{{- range (ternary (list "api" "courier" "reactor") (list "api" "courier") .Values.reactor.own) }}
---
{{ include "closedloop.deployment" (list $ .) }}
{{- include "closedloop.scaling" (list $ .) }}
{{- end }}
{{- if .Values.migrations.enabled }}
---
{{ include "closedloop.migrations" . }}
{{- end }}
{{- include "closedloop.network" . }}
{{- if and .Values.webhooks.enabled .Values.service.webhooks }}
{{- include "closedloop.webhooks" . }}
{{- end }}
{{- include "closedloop.certificate" . }}
{{- include "closedloop.database" . }}
{{- include "closedloop.monitoring" . }}
{{- end }}
