//! Whose credentials a token is asked with, and whether its provider lets it.

use std::collections::BTreeMap;

use crate::api::{
    ClusterOAuthProviderSpec, CredentialsRef, OAuthClientTokenSpec, OwnCredentials, Usage,
};
use crate::error::{Error, Reason, nearest};

/// A Secret, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsSource {
    /// The Secret.
    pub secret: SecretKey,
    /// The keys that hold the client's secret, in the order in which they are tried; none where it
    /// is `client_secret` alone.
    pub secret_keys: Vec<String>,
}

impl CredentialsSource {
    /// What a reference names, in a namespace that it has no say in.
    pub fn new(reference: &CredentialsRef, namespace: &str) -> Self {
        let secret = SecretKey { namespace: namespace.to_owned(), name: reference.name.clone() };
        Self { secret, secret_keys: reference.secret_keys.clone() }
    }
}

/// The token's own credentials, in its own namespace, where it names any.
pub fn own_credentials(token: &OAuthClientTokenSpec, namespace: &str) -> Option<CredentialsSource> {
    let reference = token.credentials_secret_ref.as_ref()?;
    Some(CredentialsSource::new(reference, namespace))
}

/// Where a token stands that wants a cluster provider.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// What it asks for.
    pub token: &'a OAuthClientTokenSpec,
    /// Its namespace.
    pub namespace: &'a str,
    /// That namespace's labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Whose credentials a cluster provider is asked with: the token's own or the platform's, which
/// lie in `platform_namespace` and nowhere else.
pub fn admit(
    provider: &ClusterOAuthProviderSpec,
    applicant: Applicant<'_>,
    platform_namespace: &str,
) -> Result<Option<CredentialsSource>, Error> {
    let none = Usage::default();
    let usage = provider.usage.as_ref().unwrap_or(&none);
    if !usage.admits(applicant.labels).map_err(|error| unreadable_selector(&error))? {
        return Err(not_admitted(applicant.namespace));
    }
    client(provider, applicant.token, (applicant.namespace, platform_namespace))
}

/// What everybody gets while nobody can tell whom a cluster provider admits.
pub fn unreadable_selector(error: &str) -> Error {
    let message =
        format!("the ClusterOAuthProvider's spec.usage.namespaceSelector cannot be read: {error}");
    Error::new(Reason::InvalidProvider, message)
}

/// What a namespace gets that a cluster provider does not admit.
pub fn not_admitted(namespace: &str) -> Error {
    let message = format!(
        "the ClusterOAuthProvider does not admit namespace {namespace:?}: its \
         spec.usage.namespaceSelector must match the namespace's labels"
    );
    Error::new(Reason::NamespaceNotAdmitted, message)
}

/// Whose credentials a cluster provider is asked with by a token whose own ones lie in `own`, and
/// whether it may ask for what it does.
pub fn client(
    provider: &ClusterOAuthProviderSpec,
    token: &OAuthClientTokenSpec,
    (own, platform_namespace): (&str, &str),
) -> Result<Option<CredentialsSource>, Error> {
    let none = Usage::default();
    let usage = provider.usage.as_ref().unwrap_or(&none);
    if token.credentials_secret_ref.is_some() {
        if usage.own_credentials == Some(OwnCredentials::Forbid) {
            return Err(Error::new(
                Reason::OwnCredentialsForbidden,
                "the ClusterOAuthProvider forbids own credentials: leave spec.credentialsSecretRef out",
            ));
        }
        return Ok(own_credentials(token, own));
    }
    let Some(platform) = &provider.credentials_secret_ref else {
        return Ok(None);
    };
    for scope in &token.scopes {
        allowed(scope, "spec.scopes", &usage.scopes, Reason::ScopeNotAllowed)?;
    }
    for name in token.parameters.keys() {
        allowed(name, "spec.parameters", &usage.parameters, Reason::ParameterNotAllowed)?;
    }
    Ok(Some(CredentialsSource::new(platform, platform_namespace)))
}

fn allowed(name: &str, field: &str, list: &[String], reason: Reason) -> Result<(), Error> {
    if list.iter().any(|known| known == name) {
        return Ok(());
    }
    let hint = nearest(name, list.iter().map(String::as_str));
    let message = format!(
        "{field}: {name:?} is not among what the platform's client may be asked with{hint}"
    );
    Err(Error::new(reason, message))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn ask(provider: Value, token: &Value) -> Result<String, Reason> {
        let provider: ClusterOAuthProviderSpec = serde_json::from_value(provider).unwrap();
        let mut spec = json!({"providerRef": {"kind": "ClusterOAuthProvider", "name": "p"}});
        spec.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
        let token: OAuthClientTokenSpec = serde_json::from_value(spec).unwrap();
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let applicant = Applicant { token: &token, namespace: "web", labels: &labels };
        admit(&provider, applicant, "platform")
            .map(|source| source.map_or("none".to_owned(), |source| source.secret.to_string()))
            .map_err(|error| error.reason())
    }

    #[rstest]
    #[case::none_by_default(json!({}), Err(Reason::NamespaceNotAdmitted))]
    #[case::usage_without_selector(json!({"usage": {}}), Err(Reason::NamespaceNotAdmitted))]
    #[case::all(json!({"usage": {"namespaceSelector": {}}}), Ok("web/c"))]
    #[case::matching(json!({"usage": {"namespaceSelector": {"matchLabels": {"team": "shop"}}}}), Ok("web/c"))]
    #[case::not_matching(json!({"usage": {"namespaceSelector": {"matchLabels": {"team": "x"}}}}), Err(Reason::NamespaceNotAdmitted))]
    #[case::expression(json!({"usage": {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["shop"]}]}}}), Ok("web/c"))]
    #[case::unreadable_selector(json!({"usage": {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Resembles"}]}}}), Err(Reason::InvalidProvider))]
    #[case::no_values(json!({"usage": {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "NotIn"}]}}}), Err(Reason::InvalidProvider))]
    fn namespaces(#[case] provider: Value, #[case] expected: Result<&str, Reason>) {
        let token = json!({"credentialsSecretRef": {"name": "c"}});
        assert_eq!(ask(provider, &token), expected.map(str::to_owned));
    }

    #[rstest]
    #[case::platform(json!({}), json!({}), Ok("platform/own"))]
    #[case::own(json!({}), json!({"credentialsSecretRef": {"name": "c"}}), Ok("web/c"))]
    #[case::own_forbidden(json!({"ownCredentials": "Forbid"}), json!({"credentialsSecretRef": {"name": "c"}}), Err(Reason::OwnCredentialsForbidden))]
    #[case::scope(json!({}), json!({"scopes": ["read"]}), Err(Reason::ScopeNotAllowed))]
    #[case::scope_listed(json!({"scopes": ["read"]}), json!({"scopes": ["read"]}), Ok("platform/own"))]
    #[case::parameter(json!({"scopes": ["read"]}), json!({"parameters": {"act_as": "x"}}), Err(Reason::ParameterNotAllowed))]
    #[case::parameter_listed(json!({"parameters": ["act_as"]}), json!({"parameters": {"act_as": "x"}}), Ok("platform/own"))]
    #[case::own_are_free(json!({}), json!({"credentialsSecretRef": {"name": "c"}, "scopes": ["any"], "parameters": {"act_as": "x"}}), Ok("web/c"))]
    fn the_platforms_client(
        #[case] usage: Value,
        #[case] token: Value,
        #[case] expected: Result<&str, Reason>,
    ) {
        let mut usage = usage;
        usage["namespaceSelector"] = json!({});
        let provider = json!({"credentialsSecretRef": {"name": "own"}, "usage": usage});
        assert_eq!(ask(provider, &token), expected.map(str::to_owned));
    }

    #[test]
    fn without_any_credentials_there_are_none() {
        let provider = json!({"usage": {"namespaceSelector": {}}});
        assert_eq!(ask(provider, &json!({})), Ok("none".to_owned()));
    }
}
