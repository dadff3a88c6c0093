{{/* Headless: a caller sees every replica and spreads its calls by itself (round_robin); connections end with their age,
so that new replicas are found. Both Services show the operations port to Prometheus. */}}
{{- define "closedloop.services" -}}
{{- $name := include "closedloop.fullname" . -}}
apiVersion: v1
kind: Service
metadata: {{- include "closedloop.metadata" (list . "api" $name) | nindent 2 }}
spec:
  clusterIP: None
  selector: {{- include "closedloop.selector" (list . "api") | nindent 4 }}
  ports:
    - {name: grpc, port: {{ .Values.ports.grpc }}, targetPort: grpc, appProtocol: grpc}
    - {name: operations, port: {{ .Values.ports.operations }}, targetPort: operations, appProtocol: http}
---
apiVersion: v1
kind: Service
metadata: {{- include "closedloop.metadata" (list . "courier" (printf "%s-courier" $name)) | nindent 2 }}
spec:
  selector: {{- include "closedloop.selector" (list . "courier") | nindent 4 }}
  ports:
    - {name: webhooks, port: 80, targetPort: webhooks, appProtocol: http}
    - {name: operations, port: {{ .Values.ports.operations }}, targetPort: operations, appProtocol: http}
{{- if .Values.reactor.own }}
---
apiVersion: v1
kind: Service
metadata: {{- include "closedloop.metadata" (list . "reactor" (printf "%s-reactor" $name)) | nindent 2 }}
spec:
  clusterIP: None
  selector: {{- include "closedloop.selector" (list . "reactor") | nindent 4 }}
  ports:
    - {name: operations, port: {{ .Values.ports.operations }}, targetPort: operations, appProtocol: http}
{{- end }}
{{- end }}

{{- define "closedloop.webhooks" -}}
{{- $name := printf "%s-courier" (include "closedloop.fullname" .) -}}
{{- $paths := .Values.service.webhooks -}}
{{- if and .Values.webhooks.ingress.host }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "closedloop.metadata" (list . "courier" $name) | nindent 2 }}
{{- with .Values.webhooks.ingress.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
{{- end }}
spec:
{{- with .Values.webhooks.ingress.className }}
  ingressClassName: {{ . }}
{{- end }}
{{- with .Values.webhooks.ingress.tlsSecret }}
  tls: [{secretName: {{ . }}, hosts: [{{ $.Values.webhooks.ingress.host | quote }}]}]
{{- end }}
  rules:
    - host: {{ .Values.webhooks.ingress.host | quote }}
      http:
        paths:
{{- range $paths }}
          - path: {{ . }}
            pathType: Prefix
            backend: {service: {name: {{ $name }}, port: {name: webhooks}}}
{{- end }}
{{- end }}
{{- with .Values.webhooks.gateway }}
{{- if .name }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{- include "closedloop.metadata" (list $ "courier" $name) | nindent 2 }}
spec:
  parentRefs:
    - name: {{ .name }}
{{- with .namespace }}
      namespace: {{ . }}
{{- end }}
{{- with .hostnames }}
  hostnames: {{- toYaml . | nindent 4 }}
{{- end }}
  rules:
    - matches:
{{- range $paths }}
        - path: {type: PathPrefix, value: {{ . }}}
{{- end }}
      backendRefs:
        - {name: {{ $name }}, port: 80}
{{- end }}
{{- end }}
{{- end }}
