{{/* Names and labels. Selectors hold nothing that changes from release to release: they are immutable. */}}
{{- define "closedloop.fullname" -}}
{{- .Values.fullnameOverride | default (printf "closedloop-%s" .Values.service.name) | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* (list $ "api") */}}
{{- define "closedloop.selector" -}}
app.kubernetes.io/name: {{ include "closedloop.fullname" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (list $ "api"): of objects and pods, never of selectors. */}}
{{- define "closedloop.labels" -}}
{{- $ := index . 0 -}}
{{ include "closedloop.selector" . }}
app.kubernetes.io/part-of: closedloop
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "closedloop.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "closedloop.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{/* A digest goes before a tag: what was tested is what runs. */}}
{{- define "closedloop.image" -}}
{{- $global := (.Values.global).image | default dict -}}
{{- $registry := .Values.image.registry | default $global.registry -}}
{{- $name := .Values.image.repository | default (printf "closedloop-%s" .Values.service.name) -}}
{{- $of := ternary (printf "%s/%s" $registry $name) $name (not (empty $registry)) -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" $of .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $of (.Values.image.tag | default $global.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{- define "closedloop.metadata" -}}
{{- $ := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $.Release.Namespace }}
labels: {{- include "closedloop.labels" (list $ (index . 1)) | nindent 2 }}
{{- end }}
