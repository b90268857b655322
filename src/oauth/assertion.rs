//! Assertions: JWTs that are signed here, for a grant, for client authentication or as the token
//! itself.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::jws::SigningKey;
use super::parameters::ParameterTemplate;
use super::secrets::redacted;
use super::template::{Name, Template, invalid};
use super::values::Values;
use crate::api::{self, Algorithm, Thumbprint};
use crate::error::{Error, Reason};

/// How long an assertion is valid where the document does not say.
const LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// How an assertion is made.
#[derive(Clone, Debug)]
pub(super) struct AssertionTemplate {
    algorithm: Algorithm,
    key: Template,
    key_id: KeyId,
    certificate: Template,
    thumbprints: Vec<Thumbprint>,
    type_: String,
    audience: Option<Template>,
    lifetime: TimeDelta,
    backdate: TimeDelta,
    claims: BTreeMap<String, ParameterTemplate>,
}

/// Header and claims.
pub(super) type Parts = (Map<String, Value>, Map<String, Value>);

/// Where the header `kid` comes from.
#[derive(Clone, Debug)]
enum KeyId {
    /// The credential `key_id`, where there is one.
    Any,
    /// Nowhere.
    Absent,
    From(Template),
}

impl AssertionTemplate {
    /// Reads how an assertion is made. `field` is `assertion` or `clientAssertion`; `secret` is what
    /// the HS algorithms sign with, `usual` the algorithm where none is named.
    pub(super) fn parse(
        document: &api::Assertion,
        field: &str,
        (secret, usual): (&Template, Algorithm),
    ) -> Result<Self, Error> {
        let parse = |text: &str, name: &str| Template::parse(text, &format!("{field}.{name}"));
        let optional = |text: &Option<String>, name: &str| {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| parse(text, name))
                .transpose()
        };
        let algorithm = document.algorithm.unwrap_or(usual);
        let is_hmac = matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
        let key = match optional(&document.key, "key")? {
            Some(key) => key,
            None if is_hmac => secret.clone(),
            None => parse("{{ credentials.private_key }}", "key")?,
        };
        let certificate = optional(&document.certificate, "certificate")?;
        let claims = document.claims.iter().map(|(name, value)| {
            let place = format!("{field}.claims.{name}");
            Ok((name.clone(), ParameterTemplate::parse(value, &place)?))
        });
        let lifetime = document.lifetime.map_or(Some(LIFETIME), |given| {
            time(given).filter(|time| (TimeDelta::seconds(1)..=TimeDelta::hours(24)).contains(time))
        });
        let backdate = document.backdate.map_or(Some(TimeDelta::zero()), |given| {
            time(given).filter(|time| *time <= TimeDelta::hours(1))
        });
        Ok(Self {
            algorithm,
            key,
            key_id: match document.key_id.as_deref() {
                None => KeyId::Any,
                Some("") => KeyId::Absent,
                Some(text) => KeyId::From(parse(text, "keyID")?),
            },
            certificate: match certificate {
                Some(certificate) => certificate,
                None => parse("{{ credentials.tls.crt }}", "certificate")?,
            },
            thumbprints: document.thumbprints.clone().unwrap_or_default(),
            type_: document.type_.clone().unwrap_or_else(|| "JWT".to_owned()),
            audience: optional(&document.audience, "audience")?,
            lifetime: lifetime
                .ok_or_else(|| invalid(format!("{field}.lifetime lies between 1s and 24h")))?,
            backdate: backdate.ok_or_else(|| invalid(format!("{field}.backdate is at most 1h")))?,
            claims: claims.collect::<Result<_, Error>>()?,
        })
    }

    /// How long an assertion lives.
    pub(super) fn lifetime(&self) -> TimeDelta {
        self.lifetime
    }

    /// Whether it says itself who issues it and for whom.
    fn names_its_parties(&self) -> bool {
        self.claims.contains_key("iss") && self.claims.contains_key("sub")
    }

    /// Whether it takes the credential `key_id` where there is one.
    pub(super) fn takes_any_key_id(&self) -> bool {
        matches!(self.key_id, KeyId::Any)
    }

    /// Adds the names that it uses, those of the client's id among them.
    pub(super) fn collect_names(&self, client_id: &Template, names: &mut BTreeSet<Name>) {
        if !self.names_its_parties() {
            names.extend(client_id.names().cloned());
        }
        let key_id = match &self.key_id {
            KeyId::From(template) => Some(template),
            KeyId::Any | KeyId::Absent => None,
        };
        let optional = [key_id, self.audience.as_ref()].into_iter().flatten();
        let certificate = (!self.thumbprints.is_empty()).then_some(&self.certificate);
        for template in optional.chain([&self.key]).chain(certificate) {
            names.extend(template.names().cloned());
        }
        for claim in self.claims.values() {
            claim.collect_names(names);
        }
    }

    /// Signs one, for this request alone: its `jti` is never used again.
    pub(super) fn mint(&self, values: &Values<'_>, id: &str) -> Result<SecretString, Error> {
        let key = self.signing_key(values)?;
        let header = self.header(values, self.marks(values, &key)?)?;
        let claims = self.claims(values, key.fingerprint(), id)?;
        let jwt = key.compact(header, claims);
        jwt.map(SecretString::from).ok_or_else(|| refuse(&self.key, values, "does not sign"))
    }

    /// Header and claims of one, as they may be shown: what comes of a secret is hidden.
    pub(super) fn show(&self, values: &Values<'_>) -> Result<Parts, Error> {
        let key = self.signing_key(values)?;
        let masked = values.masked(redacted);
        Ok((
            self.header(&masked, self.marks(values, &key)?)?,
            self.claims(&masked, key.fingerprint(), "<random>")?,
        ))
    }

    fn signing_key(&self, values: &Values<'_>) -> Result<SigningKey, Error> {
        let text = values.render(&self.key)?;
        SigningKey::read(self.algorithm, &text)
            .map_err(|what| refuse(&self.key, values, &format!("is {what}")))
    }

    /// Thumbprints of the certificate, by the name of their header.
    fn marks(
        &self,
        values: &Values<'_>,
        key: &SigningKey,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        if self.thumbprints.is_empty() {
            return Ok(Vec::new());
        }
        let pem = values.render(&self.certificate)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| refuse(&self.certificate, values, "is no certificate in PEM"))?;
        if !key.is_of(&certificate) {
            let what = "is a certificate of another key than the one that signs";
            return Err(refuse(&self.certificate, values, what));
        }
        let mark = |thumbprint: &Thumbprint| {
            let (name, hash) = match thumbprint {
                Thumbprint::Sha1 => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY),
                Thumbprint::Sha256 => ("x5t#S256", &digest::SHA256),
            };
            (name, URL_SAFE_NO_PAD.encode(digest::digest(hash, &certificate)))
        };
        Ok(self.thumbprints.iter().map(mark).collect())
    }

    fn header(
        &self,
        values: &Values<'_>,
        marks: Vec<(&'static str, String)>,
    ) -> Result<Map<String, Value>, Error> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm.as_str().into());
        let mut set = |name: &str, value: String| {
            if !value.is_empty() {
                header.insert(name.to_owned(), value.into());
            }
        };
        set("typ", self.type_.clone());
        match &self.key_id {
            KeyId::From(key_id) => set("kid", values.render(key_id)?),
            KeyId::Any if values.supplies.credentials.has("key_id") => {
                set("kid", values.get(&Name::Credential("key_id".to_owned()))?.to_owned());
            }
            KeyId::Any | KeyId::Absent => {}
        }
        for (name, mark) in marks {
            set(name, mark);
        }
        Ok(header)
    }

    fn claims(
        &self,
        values: &Values<'_>,
        fingerprint: Option<String>,
        id: &str,
    ) -> Result<Map<String, Value>, Error> {
        let now = values.occasion.now;
        let issued_at = now - self.backdate;
        let mut claims = Map::new();
        if !self.names_its_parties() {
            let client = values.render(&values.endpoint.client.id)?;
            claims.insert("iss".to_owned(), client.clone().into());
            claims.insert("sub".to_owned(), client.into());
        }
        let audience = match &self.audience {
            Some(audience) => values.render(audience)?,
            None => values.audience(),
        };
        if !audience.is_empty() {
            claims.insert("aud".to_owned(), audience.into());
        }
        claims.insert("iat".to_owned(), issued_at.timestamp().into());
        claims.insert("exp".to_owned(), (now + self.lifetime).timestamp().into());
        claims.insert("jti".to_owned(), id.into());
        let values = values.with_key(fingerprint);
        for (name, template) in &self.claims {
            match values.render_parameter(template)? {
                Some(value) => drop(claims.insert(name.clone(), value)),
                None => drop(claims.remove(name)),
            }
        }
        Ok(claims)
    }
}

/// What a key or certificate is not, said of what it comes from and never of its text.
fn refuse(template: &Template, values: &Values<'_>, what: &str) -> Error {
    let source = values.supplies.credentials.source();
    match template.names().next() {
        Some(Name::Credential(key)) => {
            let message = format!("Secret {source}: key {key:?} {what}");
            Error::new(Reason::InvalidCredentials, message)
        }
        Some(name) => name.refuse("assertion", what),
        None => invalid(format!("assertion.key {what}")),
    }
}

/// A time that is not negative.
fn time(given: kube::core::Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(given.into()).ok().filter(|_| !given.is_negative())
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
