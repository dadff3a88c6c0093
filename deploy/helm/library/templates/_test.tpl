{{/* `helm test`: a pod with no rights calls the service by its name and asks whether it serves. */}}
{{- define "closedloop.test" -}}
{{- $name := include "closedloop.fullname" . -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "closedloop.metadata" (list . "test" (printf "%s-test" $name)) | nindent 2 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  {{- include "closedloop.pod.common" (list . "test") | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: test
      image: {{ include "closedloop.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [python, -m, closedloop_chassis.ask]
      args:
        - {{ printf "dns:///%s.%s.svc:%v" $name .Release.Namespace .Values.ports.grpc }}
{{- if .Values.tls.enabled }}
        - --ca=/etc/closedloop/tls/ca.crt
        - --certificate=/etc/closedloop/tls/tls.crt
        - --key=/etc/closedloop/tls/tls.key
{{- end }}
      {{- include "closedloop.container.rest" (list . "test") | nindent 6 }}
      resources:
        requests: {cpu: 50m, memory: 96Mi}
        limits: {memory: 192Mi}
  volumes: {{- include "closedloop.volumes" (list . "test") | nindent 4 }}
{{- end }}
