//! What tokens have to do with, by the titles that complaints give it.

use std::collections::BTreeSet;

use super::run::Name;
use crate::api::ProviderKind;
use crate::manifests::Manifests;

/// The titles (`KIND NAMESPACE/NAME`) of tokens and of everything that they are made from.
pub fn concerned(
    manifests: &Manifests,
    (tokens, platform_namespace): (&[Name], &str),
) -> BTreeSet<String> {
    let mut titles = BTreeSet::new();
    let mut next: Vec<Name> = tokens.to_vec();
    while let Some(name) = next.pop() {
        let (namespace, own) = &name;
        if !titles.insert(format!("OAuthClientToken {namespace}/{own}")) {
            continue;
        }
        let Some(token) = manifests.tokens.get(&name).map(|found| &found.object) else { continue };
        let secret = |namespace: &str, name: &str| format!("Secret {namespace}/{name}");
        let credentials = token.spec.credentials_secret_ref.as_ref();
        titles.extend(credentials.map(|reference| secret(namespace, &reference.name)));
        let (kind, key) = Manifests::provider_key(token);
        match kind {
            ProviderKind::OAuthProvider => {
                titles.insert(format!("{} {}/{}", kind.as_str(), key.0, key.1));
            }
            ProviderKind::ClusterOAuthProvider => {
                titles.insert(format!("{} {}", kind.as_str(), key.1));
                titles.insert(format!("Namespace {namespace}"));
                let provider = manifests.cluster_providers.get(&key);
                let credentials =
                    provider.and_then(|found| found.object.spec.credentials_secret_ref.as_ref());
                titles.extend(credentials.map(|found| secret(platform_namespace, &found.name)));
            }
        }
        let parents = token.spec.token_refs.values();
        next.extend(parents.map(|parent| (namespace.clone(), parent.name.clone())));
    }
    titles
}
