//! The ready-made renderings: what each wants of its Secret, and how it says a token.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Shown, encode};
use crate::api::annotations::format_time;
use crate::api::{
    ArgoCd, ArgoCdRepository, ArgoCdSecret, AuthorizationHeader, BasicAuth, DockerConfigJson, Env,
    FluxGit, Formats, Json, Netrc,
};

/// The types that formats want.
pub(super) const DOCKER_CONFIG_JSON: &str = "kubernetes.io/dockerconfigjson";
pub(super) const BASIC_AUTH: &str = "kubernetes.io/basic-auth";

/// Keys that their readers fix.
pub(super) const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// One rendering.
pub(super) trait Format: fmt::Debug + Send + Sync {
    /// As `spec.target.formats` calls it.
    fn name(&self) -> &'static str;

    /// The type of Secret that it needs, if its readers care.
    fn type_(&self) -> Option<&'static str> {
        None
    }

    /// Labels that its readers look for.
    fn labels(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Its keys.
    fn keys(&self) -> Vec<&str>;

    /// A value for each key, or what is wrong with the token's.
    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str>;
}

/// Those that are declared.
pub(super) fn declared(formats: &Formats) -> Vec<Arc<dyn Format>> {
    fn one<F: Format + Clone + 'static>(format: Option<&F>) -> Option<Arc<dyn Format>> {
        format.map(|format| Arc::new(format.clone()) as Arc<dyn Format>)
    }
    let Formats {
        authorization_header,
        netrc,
        docker_config_json,
        basic_auth,
        env,
        json,
        argo_cd,
        flux_git,
    } = formats;
    [
        one(authorization_header.as_ref()),
        one(netrc.as_ref()),
        one(docker_config_json.as_ref()),
        one(basic_auth.as_ref()),
        one(env.as_ref()),
        one(json.as_ref()),
        one(argo_cd.as_ref()),
        one(flux_git.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `user:password`, as Basic authentication and docker have it (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> String {
    encode(&format!("{username}:{password}"))
}

impl Format for AuthorizationHeader {
    fn name(&self) -> &'static str {
        "authorizationHeader"
    }

    fn keys(&self) -> Vec<&str> {
        vec![self.key.as_deref().unwrap_or("authorization")]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let token = shown.access_token.expose_secret();
        if token.contains(|c: char| c.is_ascii_control()) {
            return Err("the token holds a control character, which no header may");
        }
        let scheme = self.scheme.as_deref().unwrap_or("Bearer");
        Ok(vec![format!("{scheme} {token}").into()])
    }
}

impl Format for Netrc {
    fn name(&self) -> &'static str {
        "netrc"
    }

    fn keys(&self) -> Vec<&str> {
        vec![self.key.as_deref().unwrap_or(".netrc")]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let token = shown.access_token.expose_secret();
        // Readers differ in how they take quotes, escapes and comments, if at all.
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        if !token.chars().all(plain) || token.starts_with('#') {
            return Err("the token holds what not every reader of a .netrc file understands");
        }
        let login = self.login.as_deref().unwrap_or("oauth2");
        Ok(vec![format!("machine {} login {login} password {token}\n", self.host).into()])
    }
}

impl Format for DockerConfigJson {
    fn name(&self) -> &'static str {
        "dockerConfigJson"
    }

    fn type_(&self) -> Option<&'static str> {
        Some(DOCKER_CONFIG_JSON)
    }

    fn keys(&self) -> Vec<&str> {
        vec![DOCKER_CONFIG_KEY]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let token = shown.access_token.expose_secret();
        let auth = basic(&self.username, token);
        let entry = json!({"username": self.username, "password": token, "auth": auth});
        let auths: serde_json::Map<_, _> =
            self.registries.iter().map(|registry| (registry.clone(), entry.clone())).collect();
        Ok(vec![json!({"auths": auths}).to_string().into()])
    }
}

impl Format for BasicAuth {
    fn name(&self) -> &'static str {
        "basicAuth"
    }

    fn type_(&self) -> Option<&'static str> {
        Some(BASIC_AUTH)
    }

    fn keys(&self) -> Vec<&str> {
        vec![USERNAME, PASSWORD]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        Ok(vec![self.username.as_str().into(), shown.access_token.clone()])
    }
}

impl Format for Env {
    fn name(&self) -> &'static str {
        "env"
    }

    fn keys(&self) -> Vec<&str> {
        vec![self.key.as_deref().unwrap_or("token.env")]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let expires_at = format_time(shown.times.expires_at);
        let values = [
            ("ACCESS_TOKEN", Some(shown.access_token.expose_secret())),
            ("TOKEN_TYPE", shown.token_type.as_deref()),
            ("EXPIRES_AT", Some(expires_at.as_str())),
        ];
        let mut text = String::new();
        for (name, value) in values {
            let Some(value) = value else { continue };
            if !needs_no_quotes(value) {
                return Err(
                    "the token or its type holds what shells, docker and systemd read differently",
                );
            }
            text.extend([prefix, name, "=", value, "\n"]);
        }
        Ok(vec![text.into()])
    }
}

/// Docker takes quotes at their word, shells and systemd do not: so only what needs none is the
/// same to all of them. A shell expands `~` at the beginning and after a colon.
fn needs_no_quotes(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=:,@%".contains(c);
    value.chars().all(plain) && !value.starts_with('~') && !value.contains(":~")
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn keys(&self) -> Vec<&str> {
        vec![self.key.as_deref().unwrap_or("token.json")]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let mut object = json!({
            "access_token": shown.access_token.expose_secret(),
            "expires_on": shown.times.expires_at.timestamp(),
        });
        if let (Some(token_type), Some(object)) = (&shown.token_type, object.as_object_mut()) {
            object.insert("token_type".to_owned(), token_type.as_str().into());
        }
        Ok(vec![object.to_string().into()])
    }
}

impl Format for ArgoCd {
    fn name(&self) -> &'static str {
        "argoCD"
    }

    fn labels(&self) -> Vec<(&'static str, &'static str)> {
        let value = match self.secret_type.unwrap_or_default() {
            ArgoCdSecret::Repository => "repository",
            ArgoCdSecret::RepoCreds => "repo-creds",
        };
        vec![("argocd.argoproj.io/secret-type", value)]
    }

    fn keys(&self) -> Vec<&str> {
        vec!["url", "type", USERNAME, PASSWORD]
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let type_ = match self.type_.unwrap_or_default() {
            ArgoCdRepository::Git => "git",
            ArgoCdRepository::Helm => "helm",
            ArgoCdRepository::Oci => "oci",
        };
        let said = [&self.url, type_, &self.username].map(SecretString::from);
        Ok(said.into_iter().chain([shown.access_token.clone()]).collect())
    }
}

impl Format for FluxGit {
    fn name(&self) -> &'static str {
        "fluxGit"
    }

    fn keys(&self) -> Vec<&str> {
        match &self.username {
            Some(_) => vec![USERNAME, PASSWORD],
            None => vec!["bearerToken"],
        }
    }

    fn values(&self, shown: &Shown) -> Result<Vec<SecretString>, &'static str> {
        let username = self.username.iter().map(|name| name.as_str().into());
        Ok(username.chain([shown.access_token.clone()]).collect())
    }
}

#[cfg(test)]
#[path = "formats_tests.rs"]
mod tests;
