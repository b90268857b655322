{{/* Every rule of the operator's, each written once. deploy/ is made from them. */}}

{{- define "tokenward.rules.namespaced" -}}
- apiGroups: [tokenward.dev]
  resources: [oauthclienttokens, oauthproviders]
  verbs: [get, list, watch]
- apiGroups: [tokenward.dev]
  resources: [oauthclienttokens/status, oauthproviders/status]
  verbs: [patch]
{{ include "tokenward.rules.secrets" . }}
{{ include "tokenward.rules.events" . }}
{{- end }}

{{- define "tokenward.rules.secrets" -}}
# Read: credentials. Create, patch, delete: targets. List and watch are of metadata only.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}

{{- define "tokenward.rules.events" -}}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "tokenward.rules.clusterKinds" -}}
- apiGroups: [tokenward.dev]
  resources: [clusteroauthproviders, clusteroauthclienttokens]
  verbs: [get, list, watch]
- apiGroups: [tokenward.dev]
  resources: [clusteroauthproviders/status, clusteroauthclienttokens/status]
  verbs: [patch]
# Their labels say which cluster providers admit them, and which cluster tokens select them.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}

{{- define "tokenward.rules.own" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
  resourceNames: [tokenward-digest-key]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, patch]
  resourceNames: [tokenward-accounts]
# A create cannot be limited by name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}

{{- define "tokenward.rules.leaderElection" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, update]
  resourceNames: [tokenward]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}

{{/* RBAC cannot limit a patch to the finalizers, so it is apart. */}}
{{- define "tokenward.rules.revocation" -}}
- apiGroups: [tokenward.dev]
  resources: [oauthclienttokens]
  verbs: [patch]
{{- end }}

{{/* RBAC cannot limit a patch to an annotation: workloads-policy.yaml does. */}}
{{- define "tokenward.rules.workloads" -}}
{{- if .Values.rbac.restart }}
# restart: one annotation of the pod template.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, patch]
{{- end }}
{{- if .Values.rbac.nudge }}
# nudge: one annotation of the pods that mount the target.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
{{- end }}
{{- end }}

{{/* Of one namespace. */}}
{{- define "tokenward.rules.serviceAccountTokens" -}}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
  resourceNames: {{ toJson .names }}
{{- end }}

{{/* For the Job before an uninstall: the operator is stopped, */}}
{{- define "tokenward.rules.stop" -}}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get]
  resourceNames: [{{ include "tokenward.fullname" . }}]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
  resourceNames: [{{ include "tokenward.fullname" . }}]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}

{{/* and its finalizers are removed. */}}
{{- define "tokenward.rules.release" -}}
- apiGroups: [tokenward.dev]
  resources: [oauthclienttokens]
  verbs: [get, list, patch]
{{- end }}
