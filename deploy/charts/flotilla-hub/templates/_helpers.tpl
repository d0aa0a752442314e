{{- define "flotilla-hub.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "v%s" .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* Not empty where the hub terminates the TLS of the pages itself. */}}
{{- define "flotilla-hub.ends-tls" -}}
{{- with .Values.web }}{{ if and .url (not .behindProxy) }}yes{{ end }}{{ end -}}
{{- end -}}
