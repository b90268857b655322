//! Counting what is asked of the API server.

use http::{Method, Request, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// API requests by what they do to what. Clones count together.
pub type ApiRequests = Family<ApiRequest, Counter>;

/// A kind of API request, as RBAC names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiRequest {
    verb: &'static str,
    resource: String,
}

impl ApiRequest {
    /// What a request asks for.
    pub fn of<B>(request: &Request<B>) -> Self {
        let place = Place::of(request.uri());
        Self { verb: verb(request.method(), request.uri(), &place), resource: place.resource }
    }
}

/// What a path leads to.
struct Place {
    /// Resource and subresource; `other` where it is neither.
    resource: String,
    is_named: bool,
}

impl Place {
    fn of(uri: &Uri) -> Self {
        let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let within = match parts.as_slice() {
            ["api", _version, rest @ ..] | ["apis", _, _version, rest @ ..] => rest,
            _ => &[],
        };
        let within = match within {
            // Something in a namespace, not the namespace itself.
            ["namespaces", _, within @ ..] if !within.is_empty() => within,
            _ => within,
        };
        let (resource, is_named) = match within {
            [resource, _, subresource, ..] => (format!("{resource}/{subresource}"), true),
            [resource, _] => ((*resource).to_owned(), true),
            [resource] => ((*resource).to_owned(), false),
            [] => ("other".to_owned(), false),
        };
        Self { resource, is_named }
    }
}

fn verb(method: &Method, uri: &Uri, place: &Place) -> &'static str {
    let asks_to_watch = || {
        let mut pairs = uri.query().unwrap_or_default().split('&');
        pairs.any(|pair| matches!(pair, "watch=true" | "watch=1"))
    };
    match (method.as_str(), place.is_named) {
        ("GET", _) if asks_to_watch() => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GET", "/api/v1/namespaces/web/secrets/shop", "get secrets")]
    #[case("GET", "/api/v1/secrets?limit=500", "list secrets")]
    #[case(
        "GET",
        "/api/v1/namespaces/web/secrets?watch=true&allowWatchBookmarks=true",
        "watch secrets"
    )]
    #[case("GET", "/api/v1/namespaces?&watch=1", "watch namespaces")]
    #[case(
        "POST",
        "/api/v1/namespaces/web/serviceaccounts/a/token?",
        "create serviceaccounts/token"
    )]
    #[case("POST", "/api/v1/namespaces/web/secrets?", "create secrets")]
    #[case(
        "PATCH",
        "/apis/tokenward.dev/v1alpha1/namespaces/web/oauthclienttokens/shop/status?&force=true",
        "patch oauthclienttokens/status"
    )]
    #[case(
        "PATCH",
        "/apis/tokenward.dev/v1alpha1/clusteroauthproviders/p/status",
        "patch clusteroauthproviders/status"
    )]
    #[case("PUT", "/apis/coordination.k8s.io/v1/namespaces/t/leases/l", "update leases")]
    #[case("DELETE", "/api/v1/namespaces/web/secrets/shop", "delete secrets")]
    #[case("GET", "/version", "list other")]
    fn a_request_is_named_as_rbac_names_it(
        #[case] method: &str,
        #[case] path: &str,
        #[case] named: &str,
    ) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let ApiRequest { verb, resource } = ApiRequest::of(&request);
        assert_eq!(format!("{verb} {resource}"), named);
    }
}
