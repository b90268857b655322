//! Restarting workloads and nudging pods on a cluster. Only what refers to the target is touched,
//! and of it one annotation only.

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec, Volume};
use kube::api::{ApiResource, ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::Restart;
use super::cluster::ClusterEdge;
use crate::api::annotations::{NUDGED_AT, RESTARTED_AT, format_time, parse_time};
use crate::api::{MANAGER, WorkloadKind};
use crate::decide::{Due, Restarts, SecretKey, due};
use crate::error::{Class, Error, Reason};
use crate::runtime::ApiError;

/// Pods in one page of a list.
const PAGE: u32 = 500;
/// Pods that are patched at once.
const AT_ONCE: usize = 8;

/// One workload, as far as it matters here.
struct Workload {
    object: DynamicObject,
    template: PodTemplateSpec,
}

impl Workload {
    fn of(object: DynamicObject) -> Self {
        let template = object.data.pointer("/spec/template").cloned().unwrap_or_default();
        // A template that cannot be read refers to nothing.
        Self { template: serde_json::from_value(template).unwrap_or_default(), object }
    }

    fn restarted_at(&self) -> Option<DateTime<Utc>> {
        let annotations = self.template.metadata.as_ref()?.annotations.as_ref()?;
        annotations.get(RESTARTED_AT).and_then(|at| parse_time(at))
    }

    /// Whether its pods stay as they are until somebody deletes them.
    fn waits_for_deletion(&self) -> bool {
        let strategy = self.object.data.pointer("/spec/updateStrategy/type");
        strategy.and_then(|kind| kind.as_str()) == Some("OnDelete")
    }
}

impl ClusterEdge {
    pub(super) async fn restart_of(&self, wanted: Restart<'_>) -> Result<Restarts, Error> {
        let Restart { workload: reference, target, changed_at, now } = wanted;
        let api = self.workloads(&target.namespace, reference.kind);
        // Many may wait for a place: none of them asks the API server for nothing.
        if let Some(at) = self.restarts_full_until(now) {
            return Ok(Restarts::Later(at));
        }
        let told =
            |what: &str| Restarts::Done(Some(format!("spec.target.restart: {reference} {what}")));
        let found = self.call(api.get_opt(&reference.name)).await;
        let Some(found) = found.map_err(|error| denied(&wanted, &error))? else {
            return Ok(told("does not exist"));
        };
        let workload = Workload::of(found);
        let spec = workload.template.spec.as_ref();
        if !spec.is_some_and(|spec| refers(spec, &target.name)) {
            let what = format!("does not refer to Secret {:?}: it is not restarted", target.name);
            return Ok(told(&what));
        }
        match due(changed_at, workload.restarted_at(), now) {
            Due::Never => return Ok(Restarts::Done(None)),
            Due::At(at) => return Ok(Restarts::Later(at)),
            Due::Now => {}
        }
        if let Err(at) = self.take_restart(now) {
            return Ok(Restarts::Later(at));
        }
        let patch = json!({
            "metadata": {
                "uid": workload.object.uid(),
                "resourceVersion": workload.object.resource_version(),
            },
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: format_time(now)}}}},
        });
        match self.call(api.patch(&reference.name, &parameters(), &Patch::Merge(patch))).await {
            Ok(_) if workload.waits_for_deletion() => {
                Ok(told("has updateStrategy OnDelete: delete its pods yourself"))
            }
            Ok(_) => Ok(Restarts::Done(None)),
            // Somebody changed it meanwhile: what it is now is looked at again.
            Err(ApiError::Refused(status)) if status.is_conflict() || status.is_not_found() => {
                Ok(Restarts::Later(now + TimeDelta::seconds(1)))
            }
            Err(error) => Err(denied(&wanted, &error)),
        }
    }

    fn workloads(&self, namespace: &str, kind: WorkloadKind) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apps", "v1", kind.as_str());
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk(&kind))
    }

    pub(super) async fn nudge_of(
        &self,
        target: &SecretKey,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &target.namespace);
        let mut refused = None;
        let mut page = ListParams::default().fields("status.phase=Running").limit(PAGE);
        loop {
            let pods = self.call(api.list(&page)).await.map_err(|e| not_nudged(target, &e))?;
            let readers = pods.items.iter().filter(|pod| {
                let mounts = pod.spec.as_ref().is_some_and(|spec| mounts(spec, &target.name));
                mounts && pod.metadata.deletion_timestamp.is_none()
            });
            let nudges: Vec<_> = readers.map(|pod| self.nudge_one(&api, pod, now)).collect();
            let mut nudges = stream::iter(nudges).buffer_unordered(AT_ONCE);
            while let Some(nudged) = nudges.next().await {
                refused = refused.or(nudged.err());
            }
            match pods.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        refused.map_or(Ok(()), |error| Err(not_nudged(target, &error)))
    }

    async fn nudge_one(
        &self,
        api: &Api<Pod>,
        pod: &Pod,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let patch = json!({"metadata": {
            "uid": pod.uid(),
            "annotations": {NUDGED_AT: format_time(now)},
        }});
        let patch = Patch::Merge(patch);
        match self.call(api.patch_metadata(&pod.name_any(), &parameters(), &patch)).await {
            Ok(_) => Ok(()),
            // It has gone, and another one reads what is there.
            Err(ApiError::Refused(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Whether pods see a Secret as files.
fn mounts(spec: &PodSpec, secret: &str) -> bool {
    let of_volume = |volume: &Volume| {
        let plain = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref());
        let projected = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
        let mut projected = projected.filter_map(|source| source.secret.as_ref());
        plain == Some(secret) || projected.any(|source| source.name == secret)
    };
    spec.volumes.iter().flatten().any(of_volume)
}

/// Whether pods read a Secret at all.
fn refers(spec: &PodSpec, secret: &str) -> bool {
    let in_environment = |container: &Container| {
        let from = container.env_from.iter().flatten().filter_map(|from| from.secret_ref.as_ref());
        let sources = container.env.iter().flatten().filter_map(|env| env.value_from.as_ref());
        let mut keys = sources.filter_map(|source| source.secret_key_ref.as_ref());
        from.map(|from| &from.name).any(|name| name == secret) || keys.any(|key| key.name == secret)
    };
    let mut pulls = spec.image_pull_secrets.iter().flatten();
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    mounts(spec, secret)
        || pulls.any(|reference| reference.name == secret)
        || containers.any(in_environment)
}

fn denied(wanted: &Restart<'_>, error: &ApiError) -> Error {
    let workload = wanted.workload;
    match error {
        ApiError::Refused(status) if status.is_forbidden() => Error::new(
            Reason::WorkloadDenied,
            format!(
                "spec.target.restart: {workload} could not be restarted: let tokenward get and \
                 patch it (the chart's rbac.restart, or deploy/rbac-workloads.yaml), if no \
                 admission policy forbids it"
            ),
        ),
        _ => {
            let message =
                format!("spec.target.restart: {workload} could not be restarted: {error}");
            Error::new(Reason::WorkloadDenied, message).with_class(Class::Transient)
        }
    }
}

fn not_nudged(target: &SecretKey, error: &ApiError) -> Error {
    let why = match error {
        ApiError::Refused(status) if status.is_forbidden() => {
            "let tokenward list and patch pods (the chart's rbac.nudge, or \
             deploy/rbac-workloads.yaml)"
                .to_owned()
        }
        _ => error.to_string(),
    };
    let message =
        format!("spec.target.nudge: pods that mount Secret {target} were not told: {why}");
    Error::new(Reason::WorkloadDenied, message).with_class(Class::Transient)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::volume(json!({"volumes": [{"name": "v", "secret": {"secretName": "t"}}]}), true, true)]
    #[case::projected(json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "t"}}]}}]}), true, true)]
    #[case::environment(json!({"containers": [{"name": "c", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}}]}]}), false, true)]
    #[case::whole_environment(json!({"initContainers": [{"name": "c", "envFrom": [{"secretRef": {"name": "t"}}]}]}), false, true)]
    #[case::pulls(json!({"imagePullSecrets": [{"name": "t"}]}), false, true)]
    #[case::another(json!({"volumes": [{"name": "t", "secret": {"secretName": "u"}}], "imagePullSecrets": [{"name": "u"}]}), false, false)]
    #[case::a_config_map(json!({"volumes": [{"name": "v", "configMap": {"name": "t"}}]}), false, false)]
    fn who_reads_a_secret(#[case] spec: Value, #[case] as_files: bool, #[case] at_all: bool) {
        let mut whole = json!({"containers": [{"name": "main"}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let spec: PodSpec = serde_json::from_value(whole).unwrap();
        assert_eq!((mounts(&spec, "t"), refers(&spec, "t")), (as_files, at_all));
    }
}
