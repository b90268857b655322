//! Values at rest. Of thousands of tokens all but a few wait for hours: what is remembered of them
//! takes a fifth of the room as bytes.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as bytes, read whenever it is looked at.
pub struct Packed<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value; `None` where it cannot be told in bytes, which is then as good as forgotten.
    pub fn of(value: &T) -> Option<Self> {
        let bytes = postcard::to_allocvec(value).ok()?.into_boxed_slice();
        Some(Self { bytes, of: PhantomData })
    }

    /// The value.
    pub fn read(&self) -> Option<T> {
        postcard::from_bytes(&self.bytes).ok()
    }
}

impl<T> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("len", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::decide::{ControllerRef, Facts, HeldToken, Inspected, Seen, TargetMeta};
    use crate::error::{Class, Error, Reason};

    fn rests<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) -> usize {
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
    fn bytes_that_make_no_sense_are_nothing() {
        let packed = Packed::<TargetMeta> { bytes: [255; 4].into(), of: PhantomData };
        assert_eq!(packed.read(), None);
    }
}
