{{- define "tokenward.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names end in at most -service-accounts and stay under 63. */}}
{{- define "tokenward.fullname" -}}
{{- $name := include "tokenward.name" . }}
{{- $of := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $of | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "tokenward.selector" -}}
app.kubernetes.io/name: {{ include "tokenward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pod before an uninstall: no replica, so not the same name. */}}
{{- define "tokenward.releaseSelector" -}}
app.kubernetes.io/name: {{ include "tokenward.fullname" . }}-release
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tokenward.labels" -}}
{{ include "tokenward.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tokenward.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "tokenward.fullname" .) }}
{{- else }}
{{- required "serviceAccount.name: which one, where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Where the operator's own Secrets lie. */}}
{{- define "tokenward.home" -}}
{{- .Values.clusterResourceNamespace | default .Release.Namespace }}
{{- end }}

{{- define "tokenward.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the schema cannot say, because it concerns two values. */}}
{{- define "tokenward.validate" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) }}
{{- fail (printf "replicas: %d of them would all ask providers for the same tokens; set leaderElection.enabled, or replicas to 1" (int .Values.replicas)) }}
{{- end }}
{{- with .Values.leaderElection }}
{{- if not (and (lt (int .retryPeriodSeconds) (int .renewDeadlineSeconds)) (lt (int .renewDeadlineSeconds) (int .leaseDurationSeconds))) }}
{{- fail (printf "leaderElection: retryPeriodSeconds (%d) < renewDeadlineSeconds (%d) < leaseDurationSeconds (%d) has to hold: a leader stops before another begins" (int .retryPeriodSeconds) (int .renewDeadlineSeconds) (int .leaseDurationSeconds)) }}
{{- end }}
{{- end }}
{{- if and .Values.allowedHosts (ne .Values.namespacedProviders "CatalogueOnly") }}
{{- fail (printf "allowedHosts: says something only with namespacedProviders: CatalogueOnly, which is %s" .Values.namespacedProviders) }}
{{- end }}
{{- if and .Values.clusterKinds (not .Values.namespaces) }}
{{- fail "clusterKinds: says something only with namespaces; without them cluster kinds are always used" }}
{{- end }}
{{- if and .Values.namespaces (not .Values.clusterKinds) (eq .Values.namespacedProviders "Deny") }}
{{- fail "namespacedProviders: Deny leaves no provider at all where namespaces are named and clusterKinds is off; set clusterKinds, or CatalogueOnly" }}
{{- end }}
{{- $seen := dict }}
{{- range .Values.rbac.serviceAccountTokens }}
{{- if hasKey $seen .namespace }}
{{- fail (printf "rbac.serviceAccountTokens: namespace %q stands there twice; list all its names in one place" .namespace) }}
{{- end }}
{{- $_ := set $seen .namespace true }}
{{- if and $.Values.namespaces (not (has .namespace $.Values.namespaces)) }}
{{- fail (printf "rbac.serviceAccountTokens: namespace %q is not among namespaces" .namespace) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tokenward.args" -}}
- controller
{{- range .Values.namespaces }}
- --namespace={{ . }}
{{- end }}
{{- if .Values.clusterKinds }}
- --cluster-kinds
{{- end }}
- --cluster-resource-namespace={{ include "tokenward.home" . }}
{{- if ne .Values.lists "Paged" }}
- --lists={{ .Values.lists }}
{{- end }}
- --namespaced-providers={{ .Values.namespacedProviders }}
{{- range .Values.allowedHosts }}
- {{ printf "--allowed-hosts=%s" . | quote }}
{{- end }}
{{- range .Values.egressAllowCIDRs }}
- {{ printf "--egress-allow-cidr=%s" . | quote }}
{{- end }}
{{- if .Values.allowHTTP }}
- --allow-http
{{- end }}
- --request-timeout={{ int .Values.requestTimeoutSeconds }}
- --admin-address={{ include "tokenward.adminAddress" . }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --leader-election-namespace={{ .Release.Namespace }}
- --leader-election-lease-duration={{ int .Values.leaderElection.leaseDurationSeconds }}
- --leader-election-renew-deadline={{ int .Values.leaderElection.renewDeadlineSeconds }}
- --leader-election-retry-period={{ int .Values.leaderElection.retryPeriodSeconds }}
{{- end }}
{{ include "tokenward.logArgs" . }}
{{- with .Values.otlpEndpoint }}
- {{ printf "--otlp-endpoint=%s" . | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tokenward.adminAddress" -}}
{{- $address := .Values.admin.address }}
{{- printf "%s:%d" (ternary (printf "[%s]" $address) $address (contains ":" $address)) (int .Values.admin.port) }}
{{- end }}

{{- define "tokenward.logArgs" -}}
- {{ printf "--log-level=%s" .Values.logLevel | quote }}
- --log-format={{ .Values.logFormat }}
{{- end }}

{{/* Rights: a Role with its binding in each of the namespaces, or a ClusterRole where none are named. Of:
root, name, namespaces, rules; for another ServiceAccount than the operator's, account; annotations. */}}
{{- define "tokenward.grant" -}}
{{- $grant := . }}
{{- range ($grant.namespaces | default (list "")) }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
{{ include "tokenward.grantMetadata" (dict "grant" $grant "namespace" .) }}
rules:
  {{- $grant.rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne . "") }}
{{ include "tokenward.grantMetadata" (dict "grant" $grant "namespace" .) }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne . "") }}
  name: {{ $grant.name }}
subjects:
  - kind: ServiceAccount
    name: {{ $grant.account | default (include "tokenward.serviceAccount" $grant.root) }}
    namespace: {{ $grant.root.Release.Namespace }}
{{- end }}
{{- end }}

{{- define "tokenward.grantMetadata" -}}
metadata:
  name: {{ .grant.name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "tokenward.labels" .grant.root | nindent 4 }}
  {{- with .grant.annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Where any pod of the chart's can start, and as whom. */}}
{{- define "tokenward.podPlace" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .Values.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{- define "tokenward.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- define "tokenward.test" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
