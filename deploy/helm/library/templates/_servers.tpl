{{/* Objects of operators, each behind its switch. */}}
{{- define "closedloop.certificate" -}}
{{- if and .Values.tls.enabled .Values.tls.issuer.name }}
{{- $name := include "closedloop.fullname" . }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{- include "closedloop.metadata" (list . "api" $name) | nindent 2 }}
spec:
  secretName: {{ include "closedloop.tlsSecret" . }}
  duration: {{ .Values.tls.duration }}
  renewBefore: {{ .Values.tls.renewBefore }}
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  usages: [server auth, client auth]
  dnsNames:
    - {{ $name }}
    - {{ $name }}.{{ .Release.Namespace }}
    - {{ $name }}.{{ .Release.Namespace }}.svc
  issuerRef: {{- toYaml .Values.tls.issuer | nindent 4 }}
{{- end }}
{{- end }}

{{- define "closedloop.database" -}}
{{- $pg := .Values.database.cloudnativePg }}
{{- if $pg.enabled }}
{{- $name := printf "%s-db" (include "closedloop.fullname" .) }}
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata:
  {{- include "closedloop.metadata" (list . "database" $name) | nindent 2 }}
  annotations: {helm.sh/resource-policy: keep}
spec:
  instances: {{ $pg.instances }}
{{- with $pg.imageName }}
  imageName: {{ . }}
{{- end }}
  enableSuperuserAccess: false
  bootstrap:
    initdb: {database: closedloop, owner: closedloop, encoding: UTF8, localeCollate: C, localeCType: C}
  storage:
    size: {{ $pg.storage }}
{{- with $pg.storageClass }}
    storageClass: {{ . }}
{{- end }}
{{- with $pg.resources }}
  resources: {{- toYaml . | nindent 4 }}
{{- end }}
{{- with $pg.reader.existingSecret }}
  managed:
    roles:
      - {name: closedloop_reader, ensure: present, login: true, passwordSecret: {name: {{ . }}}}
{{- end }}
{{- if gt (int $pg.instances) 1 }}
  # Nothing acknowledged is lost with the primary: it waits for one of the others.
  postgresql:
    synchronous: {method: any, number: 1, dataDurability: required}
{{- end }}
{{- with $pg.backup.objectStore }}
  plugins:
    - name: barman-cloud.cloudnative-pg.io
      isWALArchiver: true
      parameters: {barmanObjectName: {{ . }}}
---
apiVersion: postgresql.cnpg.io/v1
kind: ScheduledBackup
metadata: {{- include "closedloop.metadata" (list $ "database" $name) | nindent 2 }}
spec:
  schedule: {{ $pg.backup.schedule | quote }}
  backupOwnerReference: cluster
  cluster: {name: {{ $name }}}
  method: plugin
  pluginConfiguration: {name: barman-cloud.cloudnative-pg.io}
{{- end }}
{{- end }}
{{- end }}
