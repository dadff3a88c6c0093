{{- define "closedloop.notes" -}}
{{- $name := include "closedloop.fullname" . -}}
{{ $.Chart.Name }} {{ $.Chart.AppVersion }} in {{ .Release.Namespace }}: dns:///{{ $name }}.{{ .Release.Namespace }}.svc:{{ .Values.ports.grpc }}{{ if .Values.tls.enabled }} (TLS{{ if .Values.tls.mutual }}, with a certificate of your own{{ end }}){{ end }}

Next:
{{- if .Values.migrations.enabled }}
  kubectl -n {{ .Release.Namespace }} get jobs -l app.kubernetes.io/name={{ $name }},app.kubernetes.io/component=migrate
      the schema; the new api serves once it is there, and the old one until then
{{- else }}
  run `migrate` of this image yourself: the api waits for its schema
{{- end }}
  kubectl -n {{ .Release.Namespace }} rollout status deployment/{{ $name }}-api
  helm -n {{ .Release.Namespace }} test {{ .Release.Name }}
{{- if not .Values.serviceMonitor.enabled }}

Nobody measures it yet: serviceMonitor.enabled, prometheusRule.enabled and dashboards.enabled are off.
{{- end }}
{{- if not .Values.image.digest }}

The image is chosen by tag; set image.digest to run exactly what was tested.
{{- end }}
{{- if not .Values.networkPolicy.enabled }}

networkPolicy.enabled is off: everybody in the cluster reaches this service, and it reaches everybody.
{{- end }}
{{- if .Values.settings.development }}

settings.development is on: anybody with the role may move the clock. Never in production.
{{- end }}
{{- end }}
