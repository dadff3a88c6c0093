{{/* Not empty where something else counts the replicas. */}}
{{- define "closedloop.scaled" -}}
{{- $p := index (index . 0).Values (index . 1) -}}
{{- if or $p.autoscaling.enabled (and $p.keda $p.keda.enabled) }}yes{{ end -}}
{{- end }}

{{- define "closedloop.leastReplicas" -}}
{{- $p := index (index . 0).Values (index . 1) -}}
{{- if and $p.keda $p.keda.enabled }}{{ $p.keda.minReplicas }}{{ else if $p.autoscaling.enabled }}{{ $p.autoscaling.minReplicas }}{{ else }}{{ $p.replicas }}{{ end -}}
{{- end }}

{{- define "closedloop.scaling" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
{{- $p := index $.Values $process -}}
{{- $name := printf "%s-%s" (include "closedloop.fullname" $) $process -}}
{{- if and $p.keda $p.keda.enabled }}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {{- include "closedloop.metadata" (list $ $process $name) | nindent 2 }}
spec:
  secretTargetRef:
{{- $broker := ($.Values.global).broker | default dict }}
    - parameter: host
      name: {{ $.Values.broker.existingSecret | default $broker.existingSecret }}
      key: {{ ternary $.Values.broker.key ($broker.key | default $.Values.broker.key) (not (empty $.Values.broker.existingSecret)) }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{- include "closedloop.metadata" (list $ $process $name) | nindent 2 }}
spec:
  scaleTargetRef: {name: {{ $name }}}
  minReplicaCount: {{ $p.keda.minReplicas }}
  maxReplicaCount: {{ $p.keda.maxReplicas }}
  triggers:
    - type: rabbitmq
      metadata:
        protocol: amqp
        queueName: {{ $.Values.service.name }}.inbox
        mode: QueueLength
        value: {{ $p.keda.messagesPerReplica | quote }}
      authenticationRef: {name: {{ $name }}}
{{- else if $p.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{- include "closedloop.metadata" (list $ $process $name) | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $name }}}
  minReplicas: {{ $p.autoscaling.minReplicas }}
  maxReplicas: {{ $p.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $p.autoscaling.cpuPercent }}}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 300}
{{- end }}
{{- if and $p.disruptionBudget (gt (include "closedloop.leastReplicas" . | int) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "closedloop.metadata" (list $ $process $name) | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "closedloop.selector" . | nindent 6 }}
{{- end }}
{{- end }}
