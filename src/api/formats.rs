//! Ready-made renderings of a token, one struct each. What they come to is in [`crate::render`].

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Renderings beside the default keys, each for one kind of consumer.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Formats {
    /// The value of an `Authorization` header, as `Bearer TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_header: Option<AuthorizationHeader>,
    /// A `.netrc` file, as curl and git read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netrc: Option<Netrc>,
    /// Credentials of container registries: key `.dockerconfigjson` in a Secret of type
    /// `kubernetes.io/dockerconfigjson`, as `imagePullSecrets` and Flux want it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_config_json: Option<DockerConfigJson>,
    /// Keys `username` and `password`, which is the token, in a Secret of type
    /// `kubernetes.io/basic-auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// A file of environment variables that shells, docker and systemd read alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Env>,
    /// A JSON object of `access_token`, `expires_on` (seconds since 1970) and `token_type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
    /// A repository, or credentials for several, as Argo CD finds them by label: keys `url`,
    /// `type`, `username` and `password`, which is the token.
    #[serde(rename = "argoCD", default, skip_serializing_if = "Option::is_none")]
    pub argo_cd: Option<ArgoCd>,
    /// What a Flux `GitRepository` refers to: `username` and `password`, which is the token, or
    /// `bearerToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flux_git: Option<FluxGit>,
}

/// The value of an `Authorization` header.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationHeader {
    /// The scheme (RFC 9110 section 11.1); `Bearer` by default, whatever the provider calls the
    /// token's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub scheme: Option<String>,
    /// The key; `authorization` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::data_key")]
    pub key: Option<String>,
}

/// A `.netrc` file of one machine.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Netrc {
    /// The host that the token is for, without scheme and port.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9.:_-]+$"))]
    pub host: String,
    /// The login name; `oauth2` by default. The token is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[!$-\[\]-~]+$"))]
    pub login: Option<String>,
    /// The key; `.netrc` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::data_key")]
    pub key: Option<String>,
}

/// Credentials of container registries.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DockerConfigJson {
    /// The registries, as image names begin with them: a host, with its port if it has one.
    #[schemars(schema_with = "registries_schema")]
    pub registries: Vec<String>,
    /// The user that goes with the token, which is the password.
    #[schemars(schema_with = "username_schema")]
    pub username: String,
}

/// User and password.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The user that goes with the token, which is the password.
    #[schemars(schema_with = "username_schema")]
    pub username: String,
}

/// A file of environment variables: `ACCESS_TOKEN`, `TOKEN_TYPE` and `EXPIRES_AT`.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Env {
    /// What the variables' names begin with; nothing by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub prefix: Option<String>,
    /// The key; `token.env` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::data_key")]
    pub key: Option<String>,
}

/// A JSON object.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Json {
    /// The key; `token.json` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::data_key")]
    pub key: Option<String>,
}

/// A repository of Argo CD, or credentials for several.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArgoCd {
    /// `repository` (by default): one of this URL. `repo-creds`: all whose URLs begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<ArgoCdSecret>,
    /// The repository's URL, or what the URLs begin with.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The user that goes with the token, which is the password.
    #[schemars(schema_with = "username_schema")]
    pub username: String,
    /// What lies there: `git` (by default), `helm` or `oci`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ArgoCdRepository>,
}

/// What the Secret is to Argo CD.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ArgoCdSecret {
    /// One repository.
    #[default]
    Repository,
    /// Credentials for the repositories whose URLs begin alike.
    RepoCreds,
}

/// What lies in a repository.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ArgoCdRepository {
    /// Manifests under git.
    #[default]
    Git,
    /// Helm charts.
    Helm,
    /// OCI artefacts.
    Oci,
}

/// What a Flux `GitRepository` refers to.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FluxGit {
    /// The user that goes with the token: then the keys are `username` and `password`, else
    /// `bearerToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "username_schema")]
    pub username: Option<String>,
}

fn registries_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": r"^[A-Za-z0-9.:_/\[\]-]+$"},
        "x-kubernetes-list-type": "set"
    })
}

/// RFC 7617 section 2: no colon, no control characters.
fn username_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
        "pattern": "^[ -9;-~]+$"
    })
}
