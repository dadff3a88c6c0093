{{/* A plain job, no hook: a hook would run before the account, the Secret and the database that the same release brings.
Its name holds a digest of what it is, so that a changed one is another job (a job is immutable) and an unchanged one is
left alone by Helm and by GitOps alike. An api serves once its schema is there; the old one goes on beside it meanwhile. */}}
{{- define "closedloop.migrations" -}}
{{- $spec := include "closedloop.migrations.spec" . -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "closedloop.metadata" (list . "migrate" (printf "%s-migrate-%s" (include "closedloop.fullname" .) ($spec | sha256sum | trunc 8))) | nindent 2 }}
{{- with .Values.migrations.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
{{- end }}
spec:
  {{- $spec | nindent 2 }}
{{- end }}

{{- define "closedloop.migrations.spec" -}}
{{- $pod := list . "migrate" -}}
backoffLimit: {{ .Values.migrations.attempts }}
activeDeadlineSeconds: {{ .Values.migrations.deadlineSeconds }}
template:
  metadata:
    labels: {{- include "closedloop.labels" $pod | nindent 6 }}
  spec:
    {{- include "closedloop.pod.common" $pod | nindent 4 }}
    restartPolicy: Never
    containers:
      - name: migrate
        {{- include "closedloop.container" $pod | nindent 8 }}
        resources: {{- toYaml .Values.migrations.resources | nindent 10 }}
    volumes: {{- include "closedloop.volumes" $pod | nindent 6 }}
{{- end }}
