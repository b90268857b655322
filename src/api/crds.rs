//! The CustomResourceDefinitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::{ClusterOAuthClientToken, ClusterOAuthProvider, OAuthClientToken, OAuthProvider};

/// Every CustomResourceDefinition of tokenward, generated from the types.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let crds = [
        OAuthClientToken::crd(),
        OAuthProvider::crd(),
        ClusterOAuthProvider::crd(),
        ClusterOAuthClientToken::crd(),
    ];
    crds.into_iter().map(tidy).collect()
}

/// Takes out what the generator adds and Kubernetes does not want: `nullable` and null among an
/// enum's values (an explicit null would skip defaults), and formats that it does not know.
fn tidy(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let Ok(mut value) = serde_json::to_value(&crd) else { return crd };
    scrub(&mut value);
    serde_json::from_value(value).unwrap_or(crd)
}

fn scrub(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            // A property may itself be called `nullable` or `format`: only the keyword's own
            // types are meant.
            map.retain(|key, value| match key.as_str() {
                "nullable" => !value.is_boolean(),
                "format" => {
                    value.as_str().is_none_or(|f| matches!(f, "date-time" | "int32" | "int64"))
                }
                _ => true,
            });
            if let Some(serde_json::Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            map.values_mut().for_each(scrub);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(scrub),
        _ => {}
    }
}
