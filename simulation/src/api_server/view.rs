//! How objects are shown: whole or their metadata only, one or a page.

use serde_json::{Value, json};

use super::ask::{Ask, Place, Reply};
use super::store::Store;

/// An object as it was asked for.
pub(super) fn text(object: &Value, metadata_only: bool) -> String {
    match metadata_only && object["kind"] != "Status" {
        true => format!(
            r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{}}}"#,
            object["metadata"]
        ),
        false => object.to_string(),
    }
}

fn shown(object: &Value, metadata_only: bool) -> Value {
    match metadata_only {
        true => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        }),
        false => object.clone(),
    }
}

/// A page of a list. What comes later is read as it is then; whoever watches from the first page's
/// version on is told of everything in between.
pub(super) fn page(store: &Store, ask: &Ask) -> Reply {
    let limit = ask.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let begun = ask.parameter("continue").and_then(|token| {
        let (version, after) = token.split_once('|')?;
        let (namespace, name) = after.split_once('/')?;
        Some((version.to_owned(), (namespace.to_owned(), name.to_owned())))
    });
    let version =
        begun.as_ref().map_or_else(|| store.history.version().to_string(), |b| b.0.clone());
    let mut rest = store.list(&ask.at).filter(|(at, _)| {
        begun.as_ref().is_none_or(|(_, after)| (&at.namespace, &at.name) > (&after.0, &after.1))
    });
    let found: Vec<_> = rest.by_ref().take(limit).collect();
    let mut metadata = json!({"resourceVersion": version});
    if let (Some((last, _)), Some(_)) = (found.last(), rest.next()) {
        metadata["continue"] = json!(format!("{version}|{}/{}", last.namespace, last.name));
    }
    let items = found.into_iter().map(|(_, object)| shown(object, ask.metadata_only));
    let items: Vec<Value> = items.collect();
    let (kind, api_version) = match ask.metadata_only {
        true => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1"),
        false => (format!("{}List", kind(&ask.at)), ask.at.api_version.as_str()),
    };
    Reply::ok(
        json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}),
    )
}

/// The kind of what is at a place.
pub(super) fn kind(at: &Place) -> &'static str {
    match at.resource.as_str() {
        "secrets" => "Secret",
        "namespaces" => "Namespace",
        "events" => "Event",
        "oauthclienttokens" => "OAuthClientToken",
        "oauthproviders" => "OAuthProvider",
        "clusteroauthclienttokens" => "ClusterOAuthClientToken",
        "clusteroauthproviders" => "ClusterOAuthProvider",
        other => panic!("{other} is not simulated"),
    }
}
