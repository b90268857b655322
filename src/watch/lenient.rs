//! An object that may not be readable, so that one that is not takes no other with it. Of none is
//! read who manages its fields: that is half of its text, most of the work, and nobody asks for it.
//!
//! kube's own guard reads inside the parser of the whole list: what that parser refuses (values that
//! are nested too deeply) would fail the list. Here an object is first taken as it stands.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

/// An object, or the metadata of one that cannot be read.
#[derive(Clone, Debug)]
pub(super) enum Lenient<K> {
    Readable(Box<K>),
    Unreadable(Box<ObjectMeta>),
}

/// What can be read of any object.
#[derive(serde::Deserialize)]
struct Named {
    metadata: Box<ObjectMeta>,
}

/// Where `managedFields` stand.
#[derive(serde::Deserialize)]
struct Managed<'a> {
    #[serde(borrow)]
    metadata: ManagedFields<'a>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManagedFields<'a> {
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

fn without_managed_fields(object: &str) -> Cow<'_, str> {
    let managed = serde_json::from_str::<Managed<'_>>(object).ok();
    let Some(fields) = managed.and_then(|managed| managed.metadata.managed_fields) else {
        return Cow::Borrowed(object);
    };
    let from = fields.get().as_ptr().addr() - object.as_ptr().addr();
    Cow::Owned([&object[..from], "null", &object[from + fields.get().len()..]].concat())
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lenient<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = without_managed_fields(raw.get());
        if let Ok(object) = serde_json::from_str::<K>(&text) {
            return Ok(Self::Readable(Box::new(object)));
        }
        let named = serde_json::from_str::<Named>(&text);
        Ok(Self::Unreadable(named.map(|named| named.metadata).unwrap_or_default()))
    }
}

impl<K: Resource> Resource for Lenient<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Readable(object) => object.meta(),
            Self::Unreadable(meta) => meta,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Readable(object) => object.meta_mut(),
            Self::Unreadable(meta) => meta,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};

    use super::*;
    use crate::api::OAuthProvider;

    fn provider(parameter: &str) -> String {
        format!(
            r#"{{"apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthProvider",
                "metadata": {{"name": "p", "namespace": "web"}},
                "spec": {{"request": {{"parameters": {{"a": {parameter}}}}}}}}}"#
        )
    }

    fn nested() -> String {
        provider(&format!("{}{}", "[".repeat(500), "]".repeat(500)))
    }

    #[test]
    fn one_that_is_nested_too_deeply_takes_no_other_with_it() {
        let list = format!(
            r#"{{"apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthProviderList",
                "metadata": {{}}, "items": [{}, {}]}}"#,
            nested(),
            provider("1")
        );
        let list: ObjectList<Lenient<OAuthProvider>> = serde_json::from_str(&list).unwrap();
        assert!(
            matches!(&list.items[0], Lenient::Unreadable(meta) if meta.name.as_deref() == Some("p"))
        );
        assert!(matches!(list.items[1], Lenient::Readable(_)));
    }

    #[test]
    fn who_manages_its_fields_is_not_read_and_all_else_is() {
        for fields in [r#"[{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]"#, "[]", "null"] {
            let text = provider("1").replace(
                r#""name": "p","#,
                &format!(r#""finalizers": [], "name": "p", "managedFields": {fields},"#),
            );
            let read: Lenient<OAuthProvider> = serde_json::from_str(&text).unwrap();
            let Lenient::Readable(read) = read else { panic!("{read:?}") };
            let mut whole: OAuthProvider = serde_json::from_str(&text).unwrap();
            whole.metadata.managed_fields = None;
            assert_eq!(format!("{read:?}"), format!("{whole:?}"));
        }
    }

    #[test]
    fn nor_does_it_break_a_watch() {
        let event = format!(r#"{{"type": "ADDED", "object": {}}}"#, nested());
        let event: WatchEvent<Lenient<OAuthProvider>> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(Lenient::Unreadable(_))));
    }
}
