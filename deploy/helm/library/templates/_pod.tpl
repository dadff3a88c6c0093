{{/* What all pods share: restricted pod security, a read-only root. Most take (list $ "api"). */}}
{{- define "closedloop.pod.security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "closedloop.container" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
image: {{ include "closedloop.image" $ }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
args: [{{ $process }}]
env: {{- include "closedloop.env" (list $ $process) | trim | nindent 2 }}
{{- include "closedloop.container.rest" (list $ $process) }}
{{- end }}

{{- define "closedloop.container.rest" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- if and (eq $process "api") (not (include "closedloop.jwks.url" $)) }}
  - {name: jwks, mountPath: /etc/closedloop/jwks, readOnly: true}
{{- end }}
{{- if has $process (list "api" "reactor") }}
{{- if $.Values.service.peers }}
  - {name: token, mountPath: /etc/closedloop/token, readOnly: true}
{{- end }}
{{- end }}
{{- if include "closedloop.outside.folder" (list $ $process) }}
  - {name: outside, mountPath: /etc/closedloop/outside, readOnly: true}
{{- end }}
{{- if and $.Values.tls.enabled (has $process (list "api" "reactor" "test")) }}
  - {name: tls, mountPath: /etc/closedloop/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "closedloop.volumes" -}}
{{- $ := index . 0 -}}
{{- $process := index . 1 -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if and (eq $process "api") (not (include "closedloop.jwks.url" $)) }}
- name: jwks
  configMap:
    name: {{ include "closedloop.jwks.configMap" $ }}
    items: [{key: {{ $.Values.tokens.jwksKey }}, path: jwks.json}]
{{- end }}
{{- if and $.Values.service.peers (has $process (list "api" "reactor")) }}
- name: token
  secret:
    secretName: {{ required "set tokens.existingSecret: this service calls others, and they ask who it is" $.Values.tokens.existingSecret }}
    items: [{key: {{ $.Values.tokens.key }}, path: token}]
{{- end }}
{{- if include "closedloop.outside.folder" (list $ $process) }}
- name: outside
  secret:
    secretName: {{ $.Values.outside.existingSecret }}
    # Of those named here what is there: nobody has every outside system.
    optional: true
    items:
{{- range $.Values.service.outside.secrets }}
      - {key: {{ . }}, path: {{ lower $.Values.service.outside.prefix }}{{ . }}}
{{- end }}
{{- end }}
{{- if and $.Values.tls.enabled (has $process (list "api" "reactor" "test")) }}
- name: tls
  secret: {secretName: {{ include "closedloop.tlsSecret" $ }}}
{{- end }}
{{- end }}

{{- define "closedloop.pod.common" -}}
{{- $ := index . 0 -}}
serviceAccountName: {{ include "closedloop.serviceAccount" $ }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "closedloop.pod.security" $ | nindent 2 }}
{{- with $.Values.image.pullSecrets | default (($.Values.global).image).pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* (list $ "api"): not empty where the secrets of outside systems are files. */}}
{{- define "closedloop.outside.folder" -}}
{{- $v := (index . 0).Values -}}
{{- if and $v.outside.existingSecret ($v.service.outside).folder (has (index . 1) (list "api" "courier" "reactor")) }}yes{{ end -}}
{{- end }}
