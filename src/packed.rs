//! Values at rest. Of thousands of tokens all but a few wait for hours: what is known of them takes
//! a sixth of the room as bytes that are compressed against what such values mostly look like.

use std::fmt;
use std::marker::PhantomData;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{OAuthClientToken, OAuthClientTokenStatus};
use crate::decide::{Facts, TargetMeta};

/// What can be packed.
pub trait Pack: Serialize + DeserializeOwned {
    /// How it is told in bytes.
    const FORM: Form;
    /// What is found in nearly each such value.
    const COMMON: &'static [u8];
}

/// How values are told in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Of values that name their fields, and leave some of them out.
    Json,
    /// Of all others.
    Postcard,
}

impl Form {
    fn write(self, value: &impl Serialize) -> Option<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(value).ok(),
            Self::Postcard => postcard::to_allocvec(value).ok(),
        }
    }

    fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Option<T> {
        match self {
            Self::Json => serde_json::from_slice(bytes).ok(),
            Self::Postcard => postcard::from_bytes(bytes).ok(),
        }
    }
}

/// A value as bytes, read whenever it is looked at.
pub struct Packed<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Pack> Packed<T> {
    /// Packs a value; `None` where it cannot be told in bytes, which is then as good as forgotten.
    pub fn of(value: &T) -> Option<Self> {
        let bytes = compress_prepend_size_with_dict(&T::FORM.write(value)?, T::COMMON);
        Some(Self { bytes: bytes.into(), of: PhantomData })
    }

    /// The value.
    pub fn read(&self) -> Option<T> {
        T::FORM.read(&decompress_size_prepended_with_dict(&self.bytes, T::COMMON).ok()?)
    }
}

impl<T> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("len", &self.bytes.len()).finish()
    }
}

impl Pack for OAuthClientToken {
    const FORM: Form = Form::Json;
    const COMMON: &'static [u8] = include_bytes!("packed/token.json");
}

impl Pack for OAuthClientTokenStatus {
    const FORM: Form = Form::Json;
    const COMMON: &'static [u8] = include_bytes!("packed/status.json");
}

impl Pack for Facts {
    const FORM: Form = Form::Postcard;
    const COMMON: &'static [u8] = b"Bearer access_token";
}

impl Pack for TargetMeta {
    const FORM: Form = Form::Postcard;
    const COMMON: &'static [u8] = include_bytes!("packed/target.txt");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::decide::{ControllerRef, Facts, HeldToken, Inspected, Seen, TargetMeta};
    use crate::error::{Class, Error, Reason};

    fn rests<T: Pack + PartialEq + fmt::Debug>(value: &T) -> usize {
        let packed = Packed::of(value).unwrap();
        assert_eq!(packed.read().as_ref(), Some(value));
        packed.bytes.len()
    }

    #[test]
    fn what_is_remembered_of_a_token_survives_its_rest() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1_700_000_000_123);
        let error = Error::new(Reason::ProviderError, "no").with_class(Class::Throttled);
        let held = HeldToken {
            issued_at: now,
            expires_at: now,
            refresh_at: now,
            token_type: Some("Bearer".into()),
            scopes: vec!["orders.read".into()],
            secret_name: "shop".into(),
            outputs: vec!["id_token".into()],
            fingerprint: Some("f".into()),
            repeated: true,
            changed_at: Some(now),
        };
        let facts = Facts {
            held: Some(held),
            failure: Some(error.clone()),
            seen: Some(Seen { at: "a".into(), found: Err(error.clone()) }),
            inspected: Some(Inspected { version: "v".into(), found: Err(error) }),
            same_token_until: Some(TimeDelta::seconds(300)),
            former: BTreeSet::from(["old".to_owned()]),
            ..Facts::default()
        };
        assert!(rests(&facts) < size_of::<Facts>() / 2, "{}", rests(&facts));
        rests(&Facts::default());
    }

    #[test]
    fn so_does_what_is_known_of_a_secret() {
        let controller = ControllerRef { name: "shop".into(), ..ControllerRef::default() };
        rests(&TargetMeta {
            uid: "u".into(),
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            controller: Some(controller),
            owned_labels: Some(BTreeSet::from(["l".to_owned()])),
            managers: [("kubectl".to_owned(), BTreeSet::from(["k".to_owned()]))].into(),
            ..TargetMeta::default()
        });
    }

    #[test]
    fn so_do_a_token_and_its_status() {
        let text = |common: &[u8]| String::from_utf8(common.to_vec()).unwrap();
        let status = text(OAuthClientTokenStatus::COMMON).replace("2026-01-01T00", "2026-11-22T13");
        let status: OAuthClientTokenStatus = serde_json::from_str(&status).unwrap();
        let whole = Form::Json.write(&status).unwrap().len();
        assert!(rests(&status) * 3 < whole, "{} of {whole}", rests(&status));
        let token: OAuthClientToken = serde_json::from_value(serde_json::json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
            "metadata": {
                "name": "orders-17", "namespace": "web", "generation": 2, "resourceVersion": "4711",
                "uid": "5c0b0d0f-7a45-4a57-9f8b-6d2b0e4f9d11",
                "creationTimestamp": "2026-11-22T13:01:44Z",
                "labels": {"app.kubernetes.io/name": "orders"},
            },
            "spec": {"providerRef": {"kind": "OAuthProvider", "name": "login"},
                "credentialsSecretRef": {"name": "orders"}, "scopes": ["orders.read"]},
        }))
        .unwrap();
        let whole = Form::Json.write(&token).unwrap();
        let packed = Packed::of(&token).unwrap();
        assert_eq!(Form::Json.write(&packed.read().unwrap()).unwrap(), whole);
        assert!(packed.bytes.len() * 2 < whole.len(), "{} of {}", packed.bytes.len(), whole.len());
    }

    #[test]
    fn bytes_that_make_no_sense_are_nothing() {
        let packed = Packed::<TargetMeta> { bytes: [255; 8].into(), of: PhantomData };
        assert_eq!(packed.read(), None);
    }
}
