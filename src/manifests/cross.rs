//! What does not fit together among manifests that each keep the rules. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::complaint::{Complaint, Severity};
use super::rules::Kind;
use super::secret::SecretManifest;
use super::sourced::{Key, Manifests, Sourced};
use crate::api::annotations::{ALLOW, OWNER, Owner};
use crate::api::{
    OAuthClientToken, PRIVILEGED_SECRET_TYPES, ProviderDocument, ProviderKind, Usage,
};
use crate::decide::{Applicant, CredentialsSource, admit, own_credentials, parents};
use crate::error::{Class, Error, Reason, nearest};
use crate::oauth::{Asking, CANNOT_REVOKE, Endpoint};
use crate::watch::{compile, shape};

/// Tells what does not fit together. What is merely missing is a warning, since it may be on the
/// cluster. The platform's own credentials are looked for in `platform_namespace`.
pub fn cross_check(manifests: &Manifests, platform_namespace: &str) -> Vec<Complaint> {
    let mut check = Check {
        manifests,
        platform_namespace,
        endpoints: HashMap::new(),
        targets: BTreeMap::new(),
        complaints: Vec::new(),
    };
    check.providers();
    manifests.tokens.values().for_each(|token| check.token(token));
    manifests.cluster_tokens.values().for_each(|token| check.cluster_token(token));
    super::intake::sort(&mut check.complaints);
    check.complaints
}

pub(super) struct Check<'a> {
    pub(super) manifests: &'a Manifests,
    pub(super) platform_namespace: &'a str,
    /// Those that compile.
    pub(super) endpoints: HashMap<(ProviderKind, Key), Arc<Endpoint>>,
    targets: BTreeMap<Key, &'a Sourced<OAuthClientToken>>,
    complaints: Vec<Complaint>,
}

impl<'a> Check<'a> {
    pub(super) fn say<T>(&mut self, about: &Sourced<T>, path: &str, message: impl Into<String>) {
        self.complaints.push(about.complain(Severity::Error, path, message));
    }

    pub(super) fn warn<T>(&mut self, about: &Sourced<T>, path: &str, message: impl Into<String>) {
        self.complaints.push(about.complain(Severity::Warning, path, message));
    }

    /// Says what an error says, at the field that it names.
    pub(super) fn report<T>(&mut self, about: &Sourced<T>, error: &Error) {
        let (path, message) = split(error.message());
        self.say(about, &path, message);
    }

    fn providers(&mut self) {
        for (key, provider) in &self.manifests.providers {
            self.document(
                (ProviderKind::OAuthProvider, key),
                provider,
                &provider.object.spec.document,
            );
        }
        for (key, provider) in &self.manifests.cluster_providers {
            let kind = ProviderKind::ClusterOAuthProvider;
            let spec = &provider.object.spec;
            self.document((kind, key), provider, &spec.document);
            if let Some(Err(error)) = spec.usage.as_ref().map(Usage::selector) {
                let message = format!(
                    "tells of no namespace whether it is admitted: it cannot be read: {error}"
                );
                self.warn(provider, "spec.usage.namespaceSelector", message);
            }
            if let Some(reference) = &spec.credentials_secret_ref {
                let source = CredentialsSource::new(reference, self.platform_namespace);
                if let Some(endpoint) = self.endpoints.get(&(kind, key.clone())).cloned() {
                    self.credentials(provider, &source, &endpoint);
                }
            }
        }
    }

    fn document<T>(
        &mut self,
        (kind, key): (ProviderKind, &Key),
        provider: &Sourced<T>,
        document: &ProviderDocument,
    ) {
        match compile(document, kind) {
            Ok(endpoint) => drop(self.endpoints.insert((kind, key.clone()), endpoint)),
            Err(error) => self.report(provider, &error),
        }
    }

    fn token(&mut self, token: &'a Sourced<OAuthClientToken>) {
        self.target(token);
        let (kind, key) = Manifests::provider_key(&token.object);
        let endpoint = self.endpoints.get(&(kind, key.clone())).cloned();
        if let Err(error) = shape(&token.object.spec, endpoint.as_deref()) {
            self.report(token, &error);
        }
        if !self.provider_exists(token, kind, &key) {
            return;
        }
        let Ok(credentials) = self.admission(token, kind, &key) else { return };
        let Some(endpoint) = self.endpoints.get(&(kind, key)).cloned() else { return };
        let spec = &token.object.spec;
        let asking = Asking::of(spec);
        if let Err(error) = endpoint.check(&asking) {
            self.report(token, &error);
        }
        self.parents(token);
        if !spec.revoke.is_empty() && !endpoint.can_revoke() {
            self.say(token, "spec.revoke", CANNOT_REVOKE);
        }
        match &credentials {
            // The platform's are judged once, with their provider.
            Some(source) if spec.credentials_secret_ref.is_some() => {
                self.credentials(token, source, &endpoint);
            }
            Some(_) => {}
            None => {
                if let Err(error) = endpoint.needs().without_credentials() {
                    self.report(token, &error);
                }
            }
        }
    }

    /// Whether the tokens that a token is made from lead to no cycle, and are there.
    fn parents(&mut self, token: &Sourced<OAuthClientToken>) {
        let namespace = token.object.metadata.namespace.clone().unwrap_or_default();
        let manifests = self.manifests;
        let found = parents(&token.object, |name| {
            let other = manifests.tokens.get(&(namespace.clone(), name.to_owned()))?;
            Some(Arc::new(other.object.clone()))
        });
        match found {
            Err(error) if error.class() == Class::Waiting => {
                let (path, message) = split(error.message());
                self.warn(token, &path, format!("{message} among the manifests"));
            }
            Err(error) => self.report(token, &error),
            Ok(_) => {}
        }
    }

    pub(super) fn provider_exists<T>(
        &mut self,
        token: &Sourced<T>,
        kind: ProviderKind,
        key: &Key,
    ) -> bool {
        let manifests = self.manifests;
        let (there, kind_here) = match kind {
            ProviderKind::OAuthProvider => (manifests.providers.contains_key(key), Kind::Provider),
            ProviderKind::ClusterOAuthProvider => {
                (manifests.cluster_providers.contains_key(key), Kind::ClusterProvider)
            }
        };
        if !there && !manifests.is_broken(kind_here, key) {
            let known = match kind {
                ProviderKind::OAuthProvider => names(&manifests.providers, &key.0),
                ProviderKind::ClusterOAuthProvider => names(&manifests.cluster_providers, &key.0),
            };
            let hint = nearest(&key.1, known);
            let message =
                format!("{} {} is not among the manifests{hint}", kind.as_str(), title(key));
            self.warn(token, "spec.providerRef.name", message);
        }
        there
    }

    /// Whose credentials the token is asked with; a complaint where it is refused.
    fn admission(
        &mut self,
        token: &Sourced<OAuthClientToken>,
        kind: ProviderKind,
        key: &Key,
    ) -> Result<Option<CredentialsSource>, ()> {
        let spec = &token.object.spec;
        let namespace = token.object.metadata.namespace.clone().unwrap_or_default();
        let cluster_provider = match kind {
            ProviderKind::OAuthProvider => None,
            ProviderKind::ClusterOAuthProvider => self.manifests.cluster_providers.get(key),
        };
        let Some(provider) = cluster_provider else {
            return Ok(own_credentials(spec, &namespace));
        };
        let provider = &provider.object.spec;
        let labels = self.manifests.namespace_labels(&namespace);
        let applicant = Applicant { token: spec, namespace: &namespace, labels: &labels };
        match admit(provider, applicant, self.platform_namespace) {
            Ok(credentials) => Ok(credentials),
            Err(error) => {
                let selects =
                    provider.usage.as_ref().is_some_and(|usage| usage.namespace_selector.is_some());
                let unknown = !self.manifests.namespaces.contains_key(&(String::new(), namespace));
                // The namespace may have the labels on the cluster.
                if error.reason() == Reason::NamespaceNotAdmitted && selects && unknown {
                    self.warn(token, "spec.providerRef.name", error.message());
                } else {
                    self.report(token, &error);
                }
                Err(())
            }
        }
    }

    /// Whether a credentials Secret is there and holds what a request is made from.
    pub(super) fn credentials<T>(
        &mut self,
        about: &Sourced<T>,
        source: &CredentialsSource,
        endpoint: &Endpoint,
    ) {
        const PATH: &str = "spec.credentialsSecretRef.name";
        let key = &source.secret;
        let id = (key.namespace.clone(), key.name.clone());
        let Some(secret) = self.manifests.secrets.get(&id) else {
            if !self.manifests.is_broken(Kind::Secret, &id) {
                let known = names(&self.manifests.secrets, &id.0);
                let hint = nearest(&key.name, known);
                self.warn(about, PATH, format!("Secret {key} is not among the manifests{hint}"));
            }
            return;
        };
        if PRIVILEGED_SECRET_TYPES.contains(&secret.object.type_.as_str()) {
            let type_ = &secret.object.type_;
            let message = format!("Secret {key} is of type {type_}, which tokenward never reads");
            return self.say(about, PATH, message);
        }
        let credentials = secret.object.credentials();
        let unpacked = match endpoint.credentials_json() {
            Some(key) => credentials.unpack(key),
            None => Ok(credentials),
        };
        let credentials = match unpacked {
            Ok(credentials) => credentials,
            Err(error) => return self.say(about, PATH, error.message()),
        };
        let keys = endpoint.needs().keys(&source.secret_keys, &credentials);
        for error in keys.iter().filter_map(|key| credentials.get(key).err()) {
            self.say(about, PATH, error.message());
        }
        for name in credentials.ending_in_newline(keys) {
            let message = "ends in a newline, which is sent too and seldom meant";
            let field = ["stringData", "data"].map(|field| format!("{field}.{name}"));
            let path = field.iter().find(|path| secret.places.contains_key(*path));
            self.warn(secret, path.map_or("data", String::as_str), message);
        }
    }

    /// Whether a target is wanted by one token alone, and is nobody else's Secret.
    fn target(&mut self, token: &'a Sourced<OAuthClientToken>) {
        const PATH: &str = "spec.target.secretName";
        let name = token.object.metadata.name.clone().unwrap_or_default();
        let namespace = token.object.metadata.namespace.clone().unwrap_or_default();
        let key = (namespace, token.object.secret_name().to_owned());
        if let Some(secret) = self.manifests.secrets.get(&key)
            && !is_given_to(&secret.object, &name)
        {
            let message = format!(
                "{} is there already: tokenward writes it only with the annotation {ALLOW}: {name}",
                secret.citation()
            );
            self.warn(token, PATH, message);
        }
        match self.targets.get(&key) {
            Some(other) => {
                let message = format!(
                    "Secret {} is the target of {} as well: a Secret holds one token",
                    title(&key),
                    other.citation()
                );
                self.say(token, PATH, message);
            }
            None => drop(self.targets.insert(key, token)),
        }
    }
}

/// Whether a Secret's annotations make it the target of a token.
fn is_given_to(secret: &SecretManifest, token: &str) -> bool {
    let annotation = |name: &str| secret.annotations.get(name).map(String::as_str);
    annotation(ALLOW) == Some(token)
        || annotation(OWNER)
            .and_then(Owner::parse)
            .is_some_and(|owner| owner.namespace == secret.namespace && owner.name == token)
}

fn names<'a, T>(objects: &'a BTreeMap<Key, T>, namespace: &str) -> Vec<&'a str> {
    let keys = objects.keys().filter(|key| key.0 == namespace);
    keys.map(|key| key.1.as_str()).collect()
}

fn title((namespace, name): &Key) -> String {
    if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") }
}

/// The fields of a document that messages begin with.
const DOCUMENT: &[&str] = &[
    "assertion",
    "bearerToken",
    "clientAssertion",
    "clientAuthentication",
    "clientID",
    "clientSecret",
    "errors",
    "issuer",
    "limits",
    "request",
    "response",
    "revocation",
];

/// The field that a message of the engine begins with, and the rest of the message.
fn split(message: &str) -> (String, &str) {
    let (first, rest) = message.split_once(' ').unwrap_or((message, ""));
    let field = first.trim_end_matches(':');
    let root = field.split('.').next().unwrap_or_default();
    let is_of_document = DOCUMENT.contains(&root) && (field.contains('.') || first.ends_with(':'));
    match root {
        "spec" if field.contains('.') => (field.to_owned(), rest),
        _ if is_of_document => (format!("spec.{field}"), rest),
        _ => (String::new(), message),
    }
}

#[cfg(test)]
#[path = "cross_tests.rs"]
mod scenarios;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_taken_from_the_head_of_a_message() {
        for (message, path, rest) in [
            ("spec.preset: no document", "spec.preset", "no document"),
            ("request.url: not closed", "spec.request.url", "not closed"),
            ("assertion.key: not closed", "spec.assertion.key", "not closed"),
            ("clientAuthentication: twice", "spec.clientAuthentication", "twice"),
            ("issuer: {{ x }} is unknown", "spec.issuer", "{{ x }} is unknown"),
            ("request is a word", "", "request is a word"),
            ("spec.request.url is not set", "spec.request.url", "is not set"),
            ("the merged document is malformed", "", "the merged document is malformed"),
        ] {
            assert_eq!(split(message), (path.to_owned(), rest));
        }
    }
}
