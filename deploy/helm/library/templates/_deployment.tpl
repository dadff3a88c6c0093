{{/* (list $ "api" | "courier" | "reactor") */}}
{{- define "closedloop.deployment" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
{{- $p := index $.Values $process -}}
{{- $name := include "closedloop.fullname" $ -}}
apiVersion: apps/v1
kind: Deployment
metadata: {{- include "closedloop.metadata" (list $ $process (printf "%s-%s" $name $process)) | nindent 2 }}
spec:
{{- if not (include "closedloop.scaled" .) }}
  replicas: {{ $p.replicas }}
{{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "closedloop.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- merge (include "closedloop.labels" . | fromYaml) $p.podLabels | toYaml | nindent 8 }}
{{- with $p.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
{{- end }}
    spec:
      {{- include "closedloop.pod.common" . | nindent 6 }}
{{- $grace := ternary (ceil ($.Values.courierSettings.grace_seconds | default 8 | toString | float64) | int) (include "closedloop.drainSeconds" $ | int) (eq $process "courier") }}
      terminationGracePeriodSeconds: {{ add $grace $p.preStopSeconds 10 }}
{{- with $p.priorityClassName }}
      priorityClassName: {{ . }}
{{- end }}
{{- with $p.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
{{- end }}
{{- with $p.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
{{- end }}
{{- with $p.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
{{- end }}
      topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "closedloop.selector" (list $ $process) | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
{{- end }}
      containers:
        - name: {{ $process }}
          {{- include "closedloop.container" . | nindent 10 }}
          ports:
{{- if eq $process "api" }}
            - {name: grpc, containerPort: {{ $.Values.ports.grpc }}}
{{- end }}
            - {name: operations, containerPort: {{ $.Values.ports.operations }}}
{{- if eq $process "courier" }}
            - {name: webhooks, containerPort: {{ $.Values.ports.webhooks }}}
{{- end }}
          {{- include "closedloop.probes" . | nindent 10 }}
{{- with $p.preStopSeconds }}
          lifecycle:
            preStop:
              exec: {command: [sleep, {{ . | quote }}]}
{{- end }}
          resources: {{- toYaml $p.resources | nindent 12 }}
      volumes: {{- include "closedloop.volumes" . | nindent 8 }}
{{- end }}

{{/* An api is asked over gRPC, as its callers ask, unless it wants a certificate to be seen: a kubelet has none. It
serves once its schema is there, so the startup probe leaves migrations ten minutes. */}}
{{- define "closedloop.probes" -}}
{{- $ := index . 0 -}}
{{- $native := and (eq (index . 1) "api") (not $.Values.tls.enabled) -}}
{{- $ready := ternary (dict "grpc" (dict "port" ($.Values.ports.grpc | int))) (dict "httpGet" (dict "port" "operations" "path" "/healthz")) $native -}}
{{- $alive := ternary $ready (dict "httpGet" (dict "port" "operations" "path" "/livez")) $native -}}
startupProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 200
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  {{- toYaml $alive | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
