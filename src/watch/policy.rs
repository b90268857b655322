//! How free namespaces are to bring providers of their own.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::ValueEnum;
use url::Url;

use crate::api::ProviderDocument;
use crate::error::{Error, Reason};
use crate::oauth::Endpoint;

/// What a namespace's own `OAuthProvider` may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NamespacedProviders {
    /// Anything.
    #[default]
    #[value(name = "Allow")]
    Allow,
    /// A preset and its variables, on hosts that the preset or `--allowed-hosts` names.
    #[value(name = "CatalogueOnly")]
    CatalogueOnly,
    /// Nothing: `ClusterOAuthProvider`s only.
    #[value(name = "Deny")]
    Deny,
}

/// A host that variables of a namespaced provider may lead to: `login.example.com`, with a port
/// other than 443 as `login.example.com:8443`, or every host below one as `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: u16,
    below: bool,
}

/// What a namespace's own providers may be.
#[derive(Clone, Debug, Default)]
pub struct ProviderPolicy {
    /// How free they are.
    pub namespaced: NamespacedProviders,
    /// With `CatalogueOnly`: where variables may lead.
    pub allowed_hosts: Vec<AllowedHost>,
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a host, as login.example.com or *.example.com");
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let url = Url::parse(&format!("https://{rest}/")).map_err(|_| wrong())?;
        let plain = url.path() == "/" && url.username().is_empty() && url.query().is_none();
        let host = url.host_str().filter(|host| plain && !host.contains('*')).ok_or_else(wrong)?;
        let port = url.port_or_known_default().unwrap_or(443);
        Ok(Self { host: host.to_owned(), port, below })
    }
}

impl AllowedHost {
    fn admits(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let matches = match self.below {
            true => host.strip_suffix(&self.host).is_some_and(|sub| sub.ends_with('.')),
            false => host == self.host,
        };
        matches && url.scheme() == "https" && url.port_or_known_default() == Some(self.port)
    }
}

impl ProviderPolicy {
    /// Whether a namespace may bring this document, which compiled to this endpoint.
    pub(super) fn judge(
        &self,
        document: &ProviderDocument,
        endpoint: &Endpoint,
    ) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(Reason::ProviderNotAllowed, message));
        match self.namespaced {
            NamespacedProviders::Allow => Ok(()),
            NamespacedProviders::Deny => refuse(
                "namespaced providers are switched off here (--namespaced-providers Deny): use a \
                 ClusterOAuthProvider"
                    .to_owned(),
            ),
            NamespacedProviders::CatalogueOnly if !is_of_catalogue(document) => refuse(
                "a namespaced provider may hold spec.preset and spec.variables only \
                 (--namespaced-providers CatalogueOnly)"
                    .to_owned(),
            ),
            NamespacedProviders::CatalogueOnly => {
                if endpoint.issuer().is_some() {
                    return refuse(
                        "endpoints that an issuer tells cannot be judged by --allowed-hosts: name \
                         a preset with its own URL, or use a ClusterOAuthProvider"
                            .to_owned(),
                    );
                }
                let admitted = |url: &Url| self.allowed_hosts.iter().any(|host| host.admits(url));
                match endpoint.varying_origins().iter().find(|url| !admitted(url)) {
                    Some(url) => {
                        let host = url.host_str().unwrap_or_default();
                        refuse(format!("host {host:?} is not among --allowed-hosts"))
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

fn is_of_catalogue(document: &ProviderDocument) -> bool {
    let rest = ProviderDocument { preset: None, variables: BTreeMap::new(), ..document.clone() };
    document.preset.is_some() && rest == ProviderDocument::default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::endpoints::compile;
    use super::*;
    use crate::api::ProviderKind;

    fn judge(
        namespaced: NamespacedProviders,
        hosts: &[&str],
        document: Value,
    ) -> Result<(), Reason> {
        let policy = ProviderPolicy {
            namespaced,
            allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        };
        let document: ProviderDocument = serde_json::from_value(document).unwrap();
        let endpoint = compile(&document, ProviderKind::OAuthProvider).unwrap();
        policy.judge(&document, &endpoint).map_err(|error| error.reason())
    }

    fn preset(url: &str) -> Value {
        json!({"preset": "oauth2", "variables": {"tokenUrl": url}})
    }

    #[rstest]
    #[case::exact(&["login.example.com"], "https://login.example.com/t", true)]
    #[case::none(&[], "https://login.example.com/t", false)]
    #[case::another(&["login.example.com"], "https://login.example.com.evil.example/t", false)]
    #[case::a_suffix_is_no_subdomain(&["*.example.com"], "https://evilexample.com/t", false)]
    #[case::below(&["*.example.com"], "https://a.b.example.com/t", true)]
    #[case::not_itself(&["*.example.com"], "https://example.com/t", false)]
    #[case::another_port(&["login.example.com"], "https://login.example.com:8443/t", false)]
    #[case::that_port(&["login.example.com:8443"], "https://login.example.com:8443/t", true)]
    #[case::never_http(&["login.example.com"], "http://login.example.com:443/t", false)]
    fn variables_lead_to_allowed_hosts_only(
        #[case] hosts: &[&str],
        #[case] url: &str,
        #[case] allowed: bool,
    ) {
        let verdict = judge(NamespacedProviders::CatalogueOnly, hosts, preset(url));
        assert_eq!(verdict.is_ok(), allowed, "{verdict:?}");
    }

    #[test]
    fn a_document_of_ones_own_is_for_allow_only() {
        let mut document = preset("https://login.example.com/t");
        document["request"] = json!({"headers": {"X-A": "b"}});
        let judge = |mode| judge(mode, &["login.example.com"], document.clone());
        assert_eq!(judge(NamespacedProviders::Allow), Ok(()));
        assert_eq!(judge(NamespacedProviders::CatalogueOnly), Err(Reason::ProviderNotAllowed));
        assert_eq!(judge(NamespacedProviders::Deny), Err(Reason::ProviderNotAllowed));
    }

    #[test]
    fn where_an_issuer_leads_cannot_be_judged() {
        let issuer = "https://login.example.com/realm";
        let document = json!({"preset": "oauth2-issuer", "variables": {"issuer": issuer}});
        let judge = |mode| judge(mode, &["login.example.com"], document.clone());
        assert_eq!(judge(NamespacedProviders::Allow), Ok(()));
        assert_eq!(judge(NamespacedProviders::CatalogueOnly), Err(Reason::ProviderNotAllowed));
    }

    #[test]
    fn a_host_that_is_none_is_refused_by_name() {
        for text in ["", "*", "https://a", "a/b", "u@a", "*.*.a"] {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }
}
