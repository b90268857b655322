//! Stopping the operator's Deployment, for `release`: a running one would set its finalizers again.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Selector;
use kube::{Api, Client};
use serde_json::json;

use super::{Failure, print};
use crate::runtime::{ApiError, in_time};
use crate::settings::DeploymentRef;

/// Longer than a pod is given to end.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at what still runs.
const PAUSE: Duration = Duration::from_millis(500);

/// Scales a Deployment to nothing, and waits until its last pod is gone. One that is not there has
/// none.
pub(super) async fn stop(client: &Client, deployment: &DeploymentRef) -> Result<(), Failure> {
    let DeploymentRef { namespace, name } = deployment;
    let failed = |what: &str, error: &ApiError| {
        Failure::Failed(format!("--stop: Deployment {deployment} cannot be {what}: {error}"))
    };
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = match in_time(deployments.get(name)).await {
        Ok(found) => found,
        Err(ApiError::Refused(status)) if status.is_not_found() => {
            return print(&format!("Deployment {deployment}: not there\n"));
        }
        Err(error) => return Err(failed("read", &error)),
    };
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    in_time(deployments.patch_scale(name, &PatchParams::default(), &none))
        .await
        .map_err(|error| failed("scaled", &error))?;
    let selector = found.spec.map(|spec| spec.selector).unwrap_or_default();
    let selector = Selector::try_from(selector)
        .map_err(|error| Failure::Failed(format!("--stop: Deployment {deployment}: {error}")))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let gone = until_none(&pods, ListParams::default().labels_from(&selector));
    let Ok(gone) = tokio::time::timeout(PATIENCE, gone).await else {
        let patience = PATIENCE.as_secs();
        return Err(Failure::Failed(format!(
            "--stop: Deployment {deployment} still has pods after {patience} s"
        )));
    };
    gone.map_err(|error| failed("watched: its pods cannot be listed", &error))?;
    print(&format!("Deployment {deployment}: stopped\n"))
}

async fn until_none(pods: &Api<Pod>, which: ListParams) -> Result<(), ApiError> {
    while !in_time(pods.list_metadata(&which)).await?.items.is_empty() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
