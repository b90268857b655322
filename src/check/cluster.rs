//! Objects that are on a cluster already, read with the rights of whoever asks, as the manifests
//! that they are made of.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Resource};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::run::Name;
use crate::api::annotations::{EXPIRES_AT, OWNER, Owner, parse_time};
use crate::api::{
    ClusterOAuthProvider, CredentialsRef, OAuthClientToken, OAuthProvider, ProviderKind, keys,
};
use crate::clock::Clock;
use crate::manifests::{Reading, read_text};
use crate::runtime::{Access, ApiError, in_time};

/// What was read.
pub struct Gathered {
    /// The objects, judged as in a file.
    pub reading: Reading,
    /// The tokens that others are made from, as their targets hold them.
    pub tokens: BTreeMap<Name, SecretString>,
}

/// Reads tokens and everything that they are made from. Errors are for people.
pub async fn gather(
    access: &Access,
    tokens: &[Name],
    platform_namespace: &str,
) -> Result<Gathered, String> {
    let mut gatherer =
        Gatherer { access, platform_namespace, texts: BTreeMap::new(), tokens: BTreeMap::new() };
    for name in tokens {
        gatherer.token(name).await?;
    }
    let texts = gatherer.texts.iter().map(|(title, text)| (title.as_str(), text.as_str()));
    Ok(Gathered { reading: read_text(texts), tokens: gatherer.tokens })
}

struct Gatherer<'a> {
    access: &'a Access,
    platform_namespace: &'a str,
    /// Manifests by their titles.
    texts: BTreeMap<String, Zeroizing<String>>,
    tokens: BTreeMap<Name, SecretString>,
}

impl Gatherer<'_> {
    async fn token(&mut self, (namespace, name): &Name) -> Result<(), String> {
        let api: Api<OAuthClientToken> = self.namespaced(namespace);
        let Some(token) = self.get(api, name).await? else {
            return Err(format!("OAuthClientToken {namespace}/{name} does not exist"));
        };
        self.secret(namespace, token.spec.credentials_secret_ref.as_ref()).await?;
        let provider = &token.spec.provider_ref.name;
        match token.spec.provider_ref.kind {
            ProviderKind::OAuthProvider => {
                let api: Api<OAuthProvider> = self.namespaced(namespace);
                self.get(api, provider).await?;
            }
            ProviderKind::ClusterOAuthProvider => {
                let api: Api<ClusterOAuthProvider> = Api::all(self.access.client.clone());
                if let Some(found) = self.get(api, provider).await? {
                    let platform = self.platform_namespace.to_owned();
                    self.secret(&platform, found.spec.credentials_secret_ref.as_ref()).await?;
                }
                self.get(Api::<Namespace>::all(self.access.client.clone()), namespace).await?;
            }
        }
        for parent in token.spec.token_refs.values() {
            self.parent(&(namespace.clone(), parent.name.clone())).await?;
        }
        Ok(())
    }

    async fn secret(
        &mut self,
        namespace: &str,
        reference: Option<&CredentialsRef>,
    ) -> Result<(), String> {
        let Some(reference) = reference else { return Ok(()) };
        let api: Api<Secret> = self.namespaced(namespace);
        self.get(api, &reference.name).await.map(drop)
    }

    /// A parent's own token is in its target, as long as that is its own and unexpired.
    async fn parent(&mut self, parent: &Name) -> Result<(), String> {
        let (namespace, name) = parent;
        let api: Api<OAuthClientToken> = self.namespaced(namespace);
        let Some(token) = self.get(api, name).await? else { return Ok(()) };
        let api: Api<Secret> = self.namespaced(namespace);
        let target = self.read(&api, token.secret_name()).await?;
        let Some(target) = target else { return Ok(()) };
        let annotations = target.metadata.annotations.unwrap_or_default();
        let owner = annotations.get(OWNER).and_then(|owner| Owner::parse(owner));
        let expires_at = annotations.get(EXPIRES_AT).and_then(|at| parse_time(at));
        let good = owner.is_some_and(|owner| owner == token.owner())
            && expires_at.is_some_and(|at| at > Clock::system().now());
        let data = target.data.unwrap_or_default();
        let value = data.get(keys::ACCESS_TOKEN).filter(|_| good);
        if let Some(text) = value.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()) {
            self.tokens.insert(parent.clone(), SecretString::from(text));
        }
        Ok(())
    }

    fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.access.client.clone(), namespace)
    }

    /// Reads an object and keeps it as a manifest; `None` where there is none.
    async fn get<K>(&mut self, api: Api<K>, name: &str) -> Result<Option<K>, String>
    where
        K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
    {
        let found = self.read(&api, name).await?;
        if let Some(object) = &found {
            let (title, text) = manifest(object).map_err(|error| error.to_string())?;
            self.texts.insert(title, text);
        }
        Ok(found)
    }

    async fn read<K>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, String>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        match in_time(api.get_opt(name)).await {
            Ok(found) => Ok(found),
            Err(error @ (ApiError::Refused(_) | ApiError::Late | ApiError::Unreachable)) => {
                Err(format!("{} {name:?} cannot be read: {error}", K::kind(&())))
            }
        }
    }
}

/// What a person would have written, and its title.
fn manifest<K>(object: &K) -> serde_json::Result<(String, Zeroizing<String>)>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let meta = object.meta();
    let mut written = match serde_json::to_value(object)? {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    written.remove("status");
    let mut metadata = Map::new();
    let own = [("name", json!(meta.name)), ("namespace", json!(meta.namespace))];
    let more = [("labels", json!(meta.labels)), ("annotations", json!(meta.annotations))];
    let members = own.into_iter().chain(more).filter(|(_, value)| !value.is_null());
    metadata.extend(members.map(|(name, value)| (name.to_owned(), value)));
    written.insert("metadata".to_owned(), metadata.into());
    written.insert("apiVersion".to_owned(), K::api_version(&()).into());
    written.insert("kind".to_owned(), K::kind(&()).into());
    if K::kind(&()) == "Namespace" {
        written.remove("spec");
    }
    let namespace = meta.namespace.iter().flat_map(|namespace| [namespace.as_str(), "/"]);
    let place: String = namespace.chain(meta.name.as_deref()).collect();
    let text = Zeroizing::new(serde_json::to_string(&written)?);
    Ok((format!("{} {place} of the cluster", K::kind(&())), text))
}
