//! `tokenward release`: before tokenward is uninstalled, nothing of it may hold a resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client, Config};

use super::stop::stop;
use super::{Failure, block_on, print, tell};
use crate::act::change_finalizers;
use crate::api::{GROUP, OAuthClientToken};
use crate::runtime::{ApiError, in_time, init_telemetry};
use crate::settings::{CommonArgs, ReleaseArgs};

/// Objects a page of a list.
const PAGE: u32 = 500;

/// What was done.
#[derive(Default)]
struct Tally {
    seen: usize,
    released: usize,
    failed: usize,
}

pub(super) fn run(common: &CommonArgs, args: &ReleaseArgs) -> Result<(), Failure> {
    init_telemetry(&common.logs(), None).map_err(Failure::Usage)?;
    block_on(async {
        let config = Config::infer().await.map_err(|error| {
            Failure::Usage(format!(
                "no cluster is configured: {error}; set KUBECONFIG or run in a pod"
            ))
        })?;
        let client =
            Client::try_from(config).map_err(|error| Failure::Failed(error.to_string()))?;
        if let Some(deployment) = &args.stop {
            stop(&client, deployment).await?;
        }
        let mut tally = Tally::default();
        if args.namespace.is_empty() {
            release(&client, Api::all(client.clone()), &mut tally).await?;
        }
        for namespace in &args.namespace {
            let api = Api::namespaced(client.clone(), namespace);
            release(&client, api, &mut tally).await?;
        }
        let Tally { seen, released, failed } = tally;
        print(&format!("looked at: {seen}, released: {released}\n"))?;
        match failed {
            0 => Ok(()),
            _ => Err(Failure::Failed(format!("{failed} could not be released"))),
        }
    })
}

async fn release(
    client: &Client,
    all: Api<OAuthClientToken>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = match in_time(all.list_metadata(&page)).await {
            Ok(list) => list,
            // Without its definition there is no such resource.
            Err(ApiError::Refused(status)) if status.is_not_found() => return Ok(()),
            Err(error) => {
                let message = format!("oauthclienttokens cannot be listed: {error}");
                return Err(Failure::Failed(message));
            }
        };
        for found in &list.items {
            release_one(client, &found.metadata, tally).await?;
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(()),
        }
    }
}

async fn release_one(client: &Client, meta: &ObjectMeta, tally: &mut Tally) -> Result<(), Failure> {
    tally.seen += 1;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let name = format!("{namespace}/{}", meta.name.as_deref().unwrap_or_default());
    let api = Api::namespaced(client.clone(), namespace);
    match change_finalizers(&api, meta, without_any_of_ours).await {
        Ok(false) => Ok(()),
        Ok(true) => {
            tally.released += 1;
            print(&format!("OAuthClientToken {name}: released\n"))
        }
        Err(error) => {
            tally.failed += 1;
            tell(&format!("tokenward: OAuthClientToken {name}: {error}"));
            Ok(())
        }
    }
}

/// The finalizers without those of any version of tokenward.
fn without_any_of_ours(meta: &ObjectMeta) -> Option<Vec<String>> {
    let before = meta.finalizers.clone().unwrap_or_default();
    let is_ours = |finalizer: &String| finalizer.split('/').next() == Some(GROUP);
    let after: Vec<String> = before.iter().filter(|f| !is_ours(f)).cloned().collect();
    (after.len() < before.len()).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_of_others_stay() {
        let meta = |finalizers: &[&str]| ObjectMeta {
            finalizers: Some(finalizers.iter().map(|f| (*f).to_owned()).collect()),
            ..ObjectMeta::default()
        };
        let others = ["example.com/audit", "foregroundDeletion"];
        assert_eq!(without_any_of_ours(&meta(&others)), None);
        let both = [others[0], "tokenward.dev/revoke", others[1], "tokenward.dev/later"];
        assert_eq!(without_any_of_ours(&meta(&both)).unwrap(), others);
        assert_eq!(without_any_of_ours(&ObjectMeta::default()), None);
    }
}
