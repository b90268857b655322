//! The metadata of the system `oauth2` (RFC 8414, `OpenID` Connect Discovery), right or as wrong as
//! a test wants them.

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::judged::GrantType;
use crate::reply::Reply;
use crate::systems::{Kind, Refusal, System};

/// The path of the revocation endpoint.
pub(crate) const REVOCATION: &str = "/oauth2/revoke";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// What the metadata say, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Discovery {
    /// The path of the issuer, without a slash at its end; may be empty.
    pub issuer_path: String,
    /// Which documents there are.
    pub documents: Documents,
    /// An issuer that is said in the place of the right one.
    pub issuer: Option<String>,
    /// The path of the token endpoint: there it is, and nowhere else.
    pub token_path: String,
    /// A token endpoint (a whole URL) that is said in the place of the right one.
    pub token_endpoint: Option<String>,
    /// `token_endpoint_auth_methods_supported`; `None` leaves it out.
    pub auth_methods: Option<Vec<String>>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            issuer_path: "/oauth2".to_owned(),
            documents: Documents::default(),
            issuer: None,
            token_path: System::Oauth2.path().to_owned(),
            token_endpoint: None,
            auth_methods: Some(vec![
                "client_secret_basic".to_owned(),
                "client_secret_post".to_owned(),
                "client_secret_jwt".to_owned(),
                "private_key_jwt".to_owned(),
            ]),
        }
    }
}

/// Which documents there are; the others' paths answer 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Documents {
    /// Both.
    #[default]
    Both,
    /// RFC 8414 only.
    Oauth,
    /// `OpenID` Connect only.
    Openid,
    /// None.
    Absent,
}

/// Which document a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    Oauth,
    Openid,
}

impl Discovery {
    /// RFC 8414 puts the well-known part in front of the issuer's path, `OpenID` Connect behind it.
    pub(crate) fn document_at(&self, path: &str) -> Option<Document> {
        if path.strip_prefix(OAUTH) == Some(&self.issuer_path) {
            Some(Document::Oauth)
        } else if path.strip_suffix(OPENID) == Some(&self.issuer_path) {
            Some(Document::Openid)
        } else {
            None
        }
    }

    pub(crate) fn right_issuer(&self, base: &str) -> String {
        format!("{base}{}", self.issuer_path)
    }

    pub(crate) fn examine(&self, document: Document, method: &Method) -> Result<(), Refusal> {
        let there = match self.documents {
            Documents::Both => true,
            Documents::Oauth => document == Document::Oauth,
            Documents::Openid => document == Document::Openid,
            Documents::Absent => false,
        };
        match method {
            _ if !there => Err(Refusal::new(Kind::NoSuchPath, "there are no such metadata")),
            &Method::GET => Ok(()),
            method => Err(Refusal::new(Kind::NotGet, format!("the method is {method}, not GET"))),
        }
    }

    pub(crate) fn reply(&self, base: &str) -> Reply {
        let token_endpoint = format!("{base}{}", self.token_path);
        let mut metadata = json!({
            "issuer": self.issuer.clone().unwrap_or_else(|| self.right_issuer(base)),
            "token_endpoint": self.token_endpoint.clone().unwrap_or(token_endpoint),
            "revocation_endpoint": format!("{base}{REVOCATION}"),
            "grant_types_supported": GrantType::NAMED.map(GrantType::name),
            "response_types_supported": [],
        });
        if let (Some(methods), Value::Object(members)) = (&self.auth_methods, &mut metadata) {
            members.insert("token_endpoint_auth_methods_supported".into(), json!(methods));
        }
        Reply::json(StatusCode::OK, &metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_has_its_place_beside_the_issuers_path() {
        let at = |discovery: &Discovery, path| discovery.document_at(path);
        let deep = Discovery { issuer_path: "/realms/a".into(), ..Discovery::default() };
        assert_eq!(
            at(&deep, "/.well-known/oauth-authorization-server/realms/a"),
            Some(Document::Oauth)
        );
        assert_eq!(at(&deep, "/realms/a/.well-known/openid-configuration"), Some(Document::Openid));
        for path in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
            "/realms/a/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration/realms/a",
        ] {
            assert_eq!(at(&deep, path), None, "{path}");
        }
        let root = Discovery { issuer_path: String::new(), ..Discovery::default() };
        assert_eq!(at(&root, "/.well-known/openid-configuration"), Some(Document::Openid));
    }
}
