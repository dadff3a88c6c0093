{{- define "closedloop.monitoring" -}}
{{- $name := include "closedloop.fullname" . -}}
{{- if .Values.serviceMonitor.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {{ $name }}
  namespace: {{ .Release.Namespace }}
  labels: {{- merge (include "closedloop.labels" (list . "monitoring") | fromYaml) .Values.serviceMonitor.labels | toYaml | nindent 4 }}
spec:
  # Dashboards and alerts know series by these two labels.
  jobLabel: app.kubernetes.io/part-of
  selector:
    matchLabels: {app.kubernetes.io/name: {{ $name }}}
  endpoints:
    - port: operations
      interval: {{ .Values.serviceMonitor.interval }}
      relabelings:
        - {targetLabel: service, replacement: {{ .Values.service.name }}}
        - {targetLabel: process, sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]}
{{- end }}
{{- with .Files.Get "observability/rules.yaml" }}
{{- if $.Values.prometheusRule.enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ $name }}
  namespace: {{ $.Release.Namespace }}
  labels: {{- merge (include "closedloop.labels" (list $ "monitoring") | fromYaml) $.Values.prometheusRule.labels | toYaml | nindent 4 }}
spec:
  {{- ternary (replace "docs/runbooks/" $.Values.prometheusRule.runbooks .) . (not (empty $.Values.prometheusRule.runbooks)) | nindent 2 }}
{{- end }}
{{- end }}
{{- if $.Values.dashboards.enabled }}
{{- range $path, $content := $.Files.Glob "observability/dashboards/*.json" }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}-{{ base $path | trimSuffix ".json" }}
  namespace: {{ $.Release.Namespace }}
  labels: {{- merge (include "closedloop.labels" (list $ "monitoring") | fromYaml) $.Values.dashboards.labels | toYaml | nindent 4 }}
data:
  {{ printf "closedloop-%s" (base $path) }}: |
    {{- $content | toString | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
