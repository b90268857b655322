//! `ClusterOAuthClientToken`: one grant, the same Secret in every namespace that a selector picks.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::Selector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annotations::Owner;
use super::refresh::{OnExpiry, Refresh};
use super::schema;
use super::target::Target;
use super::token::{on_expiry_schema, parameters_schema, scopes_schema};
use super::{
    CredentialsRef, OAuthClientToken, OAuthClientTokenSpec, OAuthClientTokenStatus, ProviderKind,
    ProviderRef,
};

/// The kind's name, as owner references and owner annotations have it.
pub const CLUSTER_TOKEN: &str = "ClusterOAuthClientToken";

/// What the name of a master copy ends in. CRD rules keep other targets and credentials from it.
const MASTER_SUFFIX: &str = ".coct.tokenward.dev";

/// As many failures as a status names.
pub const NAMED_FAILURES: usize = 20;

/// As many characters of each failure as a status holds.
pub const TOLD_FAILURE: usize = 1024;

/// What namespaces are given: a token of a cluster provider, kept fresh in a Secret in each of them.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenward.dev",
    version = "v1alpha1",
    kind = "ClusterOAuthClientToken",
    plural = "clusteroauthclienttokens",
    shortname = "coct",
    category = "tokenward",
    status = "ClusterOAuthClientTokenStatus",
    derive = "PartialEq",
    doc = "ClusterOAuthClientToken keeps one OAuth 2.0 access token fresh in a Secret in every namespace that a selector picks.",
    selectable = ".spec.providerRef.name",
    selectable = ".spec.target.secretName",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.providerRef.name"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.namespaces.selected"),
    printcolumn(name = "Holding", type_ = "integer", json_path = ".status.namespaces.ready"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.token.expiresAt"),
    printcolumn(name = "Refresh", type_ = "string", json_path = ".status.token.refreshAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Fresh")].reason"#, priority = 1),
    validation = Rule::new("!self.metadata.name.endsWith('.coct.tokenward.dev')")
        .message("names that end in .coct.tokenward.dev are those of master copies: choose another one"),
    validation = Rule::new("size(self.metadata.name) <= 200")
        .message("the name of a ClusterOAuthClientToken has at most 200 characters: that of its master copy is made from it"),
    validation = Rule::new("!has(self.spec.target) || !has(self.spec.target.creationPolicy) || self.spec.target.creationPolicy != 'Merge'")
        .message("a ClusterOAuthClientToken's Secrets are its own: leave spec.target.creationPolicy out, or use an OAuthClientToken in the namespace whose Secret is to have the keys"),
    validation = Rule::new("!has(self.spec.target) || !has(self.spec.target.restart) || size(self.spec.target.restart) == 0")
        .message("spec.target.restart is for an OAuthClientToken, whose workloads are in its own namespace: leave it out"),
    validation = Rule::new("!has(self.spec.target) || !has(self.spec.target.nudge) || !self.spec.target.nudge")
        .message("spec.target.nudge is for an OAuthClientToken, whose pods are in its own namespace: leave it out"),
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterOAuthClientTokenSpec {
    /// The provider that issues the token.
    pub provider_ref: ClusterProviderRef,
    /// The Secret, in the operator's cluster resource namespace and nowhere else, that holds the
    /// client's credentials. Optional with a provider that brings its own or needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsRef>,
    /// The namespaces that get the token, of those that the provider admits: all with `{}`.
    pub namespace_selector: LabelSelector,
    /// Scopes to ask for (RFC 6749 section 3.3). None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "scopes_schema")]
    pub scopes: Vec<String>,
    /// Values for the places where the provider's document says `{{ parameters.NAME }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "parameters_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_.-]{0,63}$'))")
        .message("a parameter's name starts with a letter or _ and holds letters, digits, _ . and - only, at most 64"))]
    pub parameters: BTreeMap<String, String>,
    /// Where the token goes, in each namespace.
    #[serde(default, skip_serializing_if = "Target::is_empty")]
    pub target: Target,
    /// When the next token is asked for.
    #[serde(default, skip_serializing_if = "Refresh::is_empty")]
    pub refresh: Refresh,
    /// What happens to a token that expired because no other could be had: `Keep`, it stays where it
    /// is (the default), or `Remove`, its keys leave every target.
    #[serde(default)]
    #[schemars(schema_with = "on_expiry_schema")]
    pub on_expiry: OnExpiry,
    /// Stops all work on this token and keeps its Secrets.
    #[serde(default)]
    pub suspend: bool,
}

/// Which provider issues the token.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProviderRef {
    /// The name of a ClusterOAuthProvider.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// What is known of a token and of the namespaces that get it. Never a token, a secret or text of a
/// provider's answer.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterOAuthClientTokenStatus {
    /// What is known of the token.
    #[serde(flatten)]
    pub grant: OAuthClientTokenStatus,
    /// How many namespaces there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceCounts>,
    /// Namespaces that cannot be given the token as it should be, the first 20 by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "failures_schema")]
    pub failures: Vec<NamespaceFailure>,
}

/// How many namespaces there are.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceCounts {
    /// That the selector picks.
    #[schemars(range(min = 0))]
    pub selected: i32,
    /// That hold an unexpired token.
    #[schemars(range(min = 0))]
    pub ready: i32,
    /// That cannot be given the token as it should be; they may hold a former one.
    #[schemars(range(min = 0))]
    pub failed: i32,
}

/// A namespace that cannot be given the token.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceFailure {
    /// Its name.
    pub namespace: String,
    /// A stable word.
    pub reason: String,
    /// For people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

impl ClusterOAuthClientToken {
    /// The resource, as the owner annotation of its Secrets names it.
    pub fn owner(&self) -> Owner {
        let meta = &self.metadata;
        Owner {
            kind: CLUSTER_TOKEN.to_owned(),
            namespace: String::new(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }

    /// The Secret that the token goes to in each namespace.
    pub fn secret_name(&self) -> &str {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.target.secret_name.as_deref().unwrap_or(name)
    }

    /// The Secret that holds the master copy.
    pub fn master_name(&self) -> String {
        format!("{}{MASTER_SUFFIX}", self.metadata.name.as_deref().unwrap_or_default())
    }

    /// The selector, if it can be read.
    pub fn selector(&self) -> Result<Selector, String> {
        super::selector::read(&self.spec.namespace_selector)
    }

    /// The grant, which is a token like any other: in `namespace`, with the master copy for its
    /// target. That one is ours and of the default shape, whatever the copies are.
    pub fn grant(&self, namespace: &str) -> Arc<OAuthClientToken> {
        let target = Target { secret_name: Some(self.master_name()), ..Target::default() };
        Arc::new(self.stand_in(namespace, target))
    }

    /// The same with the target as the spec has it: what a copy has to be like.
    pub fn pattern(&self, namespace: &str) -> Arc<OAuthClientToken> {
        let secret_name = Some(self.secret_name().to_owned());
        let target = Target { secret_name, ..self.spec.target.clone() };
        Arc::new(self.stand_in(namespace, target))
    }

    fn stand_in(&self, namespace: &str, target: Target) -> OAuthClientToken {
        let (meta, spec) = (&self.metadata, &self.spec);
        let grant = self.status.as_ref().map(|status| OAuthClientTokenStatus {
            // That of the copies: the master's follows from its name.
            secret_name: None,
            ..status.grant.clone()
        });
        OAuthClientToken {
            metadata: ObjectMeta {
                name: meta.name.clone(),
                namespace: Some(namespace.to_owned()),
                uid: meta.uid.clone(),
                generation: meta.generation,
                annotations: meta.annotations.clone(),
                ..ObjectMeta::default()
            },
            spec: OAuthClientTokenSpec {
                provider_ref: ProviderRef {
                    kind: ProviderKind::ClusterOAuthProvider,
                    name: spec.provider_ref.name.clone(),
                },
                credentials_secret_ref: spec.credentials_secret_ref.clone(),
                service_account_ref: None,
                token_refs: BTreeMap::new(),
                scopes: spec.scopes.clone(),
                parameters: spec.parameters.clone(),
                target,
                refresh: spec.refresh.clone(),
                on_expiry: spec.on_expiry,
                revoke: Vec::new(),
                suspend: spec.suspend,
            },
            status: grant,
        }
    }
}

fn failures_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let item = generator.subschema_for::<NamespaceFailure>();
    schemars::json_schema!({
        "type": "array",
        "maxItems": NAMED_FAILURES,
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["namespace"]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token() -> ClusterOAuthClientToken {
        serde_json::from_value(json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthClientToken",
            "metadata": {"name": "shop", "uid": "u", "generation": 3},
            "spec": {"providerRef": {"name": "p"}, "namespaceSelector": {}},
            "status": {"secretName": "shop", "consecutiveFailures": 2, "namespaces":
                {"selected": 1, "ready": 1, "failed": 0}}
        }))
        .unwrap()
    }

    #[test]
    fn its_secrets_name_it_without_a_namespace() {
        assert_eq!(token().owner().to_string(), "ClusterOAuthClientToken//shop/u");
        assert_eq!(Owner::parse("ClusterOAuthClientToken//shop/u"), Some(token().owner()));
    }

    #[test]
    fn the_grant_is_a_token_whose_target_is_the_master_copy() {
        let grant = token().grant("platform");
        assert_eq!(grant.secret_name(), "shop.coct.tokenward.dev");
        assert_eq!(grant.metadata.namespace.as_deref(), Some("platform"));
        assert_eq!(grant.spec.provider_ref.kind, ProviderKind::ClusterOAuthProvider);
        let status = grant.status.as_ref().unwrap();
        assert_eq!((status.consecutive_failures, &status.secret_name), (2, &None));
        assert_eq!(token().pattern("platform").secret_name(), "shop");
    }

    #[test]
    fn only_copies_have_the_declared_shape_and_policies() {
        let mut token = token();
        token.spec.target = serde_json::from_value(json!({
            "deletionPolicy": "Retain", "formats": {"authorizationHeader": {}}
        }))
        .unwrap();
        let default = Target { secret_name: Some(token.master_name()), ..Target::default() };
        assert_eq!(token.grant("platform").spec.target, default);
        let copies = Target { secret_name: Some("shop".into()), ..token.spec.target.clone() };
        assert_eq!(token.pattern("web").spec.target, copies);
    }

    #[test]
    fn a_selector_that_cannot_be_read_picks_nothing_by_mistake() {
        let mut token = token();
        assert!(token.selector().is_ok());
        for (operator, values) in
            [("Resembles", json!(["b"])), ("In", json!([])), ("NotIn", json!(null))]
        {
            let asked = json!([{"key": "a", "operator": operator, "values": values}]);
            token.spec.namespace_selector =
                serde_json::from_value(json!({"matchExpressions": asked})).unwrap();
            assert!(token.selector().unwrap_err().contains(operator));
        }
    }
}
