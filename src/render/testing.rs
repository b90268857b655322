//! A token to render.

use std::collections::BTreeSet;

use chrono::DateTime;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Data, Place, Rendered, Shape, Shown, Times};
use crate::api::Target;
use crate::error::Error;

pub(super) const TOKEN: &str = "t0ken-._~+/=";

pub(super) fn shown() -> Shown {
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
    Shown {
        access_token: TOKEN.into(),
        token_type: Some("bearer".into()),
        times: Times { issued_at: at(-3600), expires_at: at(0), refresh_at: at(-600) },
        outputs: Data::from([("instance_url".to_owned(), "https://a.example".into())]),
    }
}

pub(super) const PLACE: Place<'_> =
    Place { namespace: "web", name: "shop", secret_name: "shop-token" };

/// A shape beside a document that may tell an `instance_url`.
pub(super) fn shape(target: Value) -> Result<Shape, Error> {
    let target: Target = serde_json::from_value(target).unwrap();
    Shape::compile(&target, Some(&BTreeSet::from(["instance_url"])))
}

/// What a target comes to for [`shown`].
pub(super) fn rendered(target: Value) -> Result<Rendered, Error> {
    shape(target)?.render(&shown(), PLACE)
}

/// One of its keys.
pub(super) fn key(target: Value, key: &str) -> String {
    let rendered = rendered(target).unwrap();
    rendered.data[key].expose_secret().to_owned()
}
