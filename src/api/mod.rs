//! The resources of group `tokenward.dev`: types, validation rules, conditions
//! and annotations. Data only; what they mean is decided in [`crate::decide`].

pub mod annotations;
mod cluster_provider;
mod cluster_token;
pub mod conditions;
mod crds;
mod document;
mod formats;
mod intent;
mod provider;
mod refresh;
mod selector;
mod target;
mod token;
mod workload;

pub use cluster_provider::{ClusterOAuthProvider, ClusterOAuthProviderSpec, OwnCredentials, Usage};
pub use cluster_token::{
    CLUSTER_TOKEN, ClusterOAuthClientToken, ClusterOAuthClientTokenSpec,
    ClusterOAuthClientTokenStatus, ClusterProviderRef, NAMED_FAILURES, NamespaceCounts,
    NamespaceFailure, TOLD_FAILURE,
};
pub use crds::crds;
pub use document::{
    Algorithm, Assertion, BasicEncoding, ClientAuthentication, Encoding, ErrorRule, Errors,
    Expectation, Expiry, ExpiryKind, Grant, HeaderMatch, IssuedAt, IssuedAtKind, Limits, Method,
    Output, ProviderDocument, Request, Response, RetryAfter, RetryAfterKind, Revocation, RuleClass,
    SuccessCondition, Thumbprint,
};
pub use formats::{
    ArgoCd, ArgoCdRepository, ArgoCdSecret, AuthorizationHeader, BasicAuth, DockerConfigJson, Env,
    FluxGit, Formats, Json, Netrc,
};
pub use intent::Intent;
pub use provider::{OAuthProvider, ProviderStatus};
pub use refresh::{Delivery, OnExpiry, Refresh};
pub use target::{CreationPolicy, DeletionPolicy, Target, TargetTemplate};
pub use token::{
    CredentialsRef, InputsStatus, OAuthClientToken, OAuthClientTokenSpec, OAuthClientTokenStatus,
    ProviderKind, ProviderRef, RevokeOn, ServiceAccountRef, TokenRef, TokenState,
};
pub use workload::{WorkloadKind, WorkloadRef};

/// API group of every resource of ours.
pub const GROUP: &str = "tokenward.dev";

/// The field manager of every write of ours, and the value of
/// `app.kubernetes.io/managed-by` on target Secrets.
pub const MANAGER: &str = "tokenward";

/// Label that every target Secret carries.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Types of Secrets that give power beyond their data: they are neither read nor written.
pub const PRIVILEGED_SECRET_TYPES: &[&str] =
    &["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

/// The default keys of a target Secret.
pub mod keys {
    /// The token.
    pub const ACCESS_TOKEN: &str = "access_token";
    /// Its type, where the provider names one.
    pub const TOKEN_TYPE: &str = "token_type";
    /// When it expires (RFC 3339).
    pub const EXPIRES_AT: &str = "expires_at";
}

/// Schema fragments that several fields share.
pub(crate) mod schema {
    use schemars::{Schema, SchemaGenerator, json_schema};

    /// Pattern of a DNS-1123 subdomain.
    pub(crate) const OBJECT_NAME: &str =
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    /// Pattern of a duration as Go prints it. More digits would overflow what reads it.
    pub(crate) const DURATION: &str = r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$";
    /// Pattern of a place in an answer: a JSON Pointer (RFC 6901) to something inside of its body,
    /// a header, or the whole body.
    pub(crate) const PLACE: &str = r"^(/([^~/]|~[01])*)+$|^header:[A-Za-z0-9_-]{1,128}$|^body$";

    /// A DNS-1123 subdomain: the name of an object.
    pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "pattern": OBJECT_NAME
        })
    }

    /// A key of a Secret that is a choice.
    pub(crate) fn data_key(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "pattern": r"^([.]?[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"
        })
    }

    /// A duration as Go prints it, e.g. `1h30m`.
    pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": DURATION
        })
    }

    /// A place in an answer: a JSON Pointer (RFC 6901), `header:NAME` or `body`.
    pub(crate) fn place(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 256, "pattern": PLACE})
    }

    /// Places in an answer, first match wins.
    pub(crate) fn places(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": place(generator),
            "x-kubernetes-list-type": "atomic"
        })
    }

    /// Any JSON object: values keep their type.
    pub(crate) fn json_object(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "maxProperties": 64,
            "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true}
        })
    }
}
