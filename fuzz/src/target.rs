//! Targets that are declared to be anything, filled in with anything.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use chrono::DateTime;
use secrecy::ExposeSecret;
use serde_json::json;
use tokenward::api::Target;
use tokenward::error::{Error, Reason};
use tokenward::render::{Place, Rendered, Shape, Shown, Times};

/// As much as a Secret holds.
const LARGEST: usize = 1024 * 1024;

/// What errors say beside what they quote of the declaration.
const SAYS: &str = "spec.target.formats.authorizationHeader.netrc.template.data.labels.annotations: \
    token_type outputs.output | default(\"…\")";

#[derive(Arbitrary, Debug)]
struct Case<'a> {
    token: &'a str,
    token_type: Option<&'a str>,
    output: Option<&'a str>,
    key: &'a str,
    label: (&'a str, &'a str),
    annotation: (&'a str, &'a str),
    formats: u8,
    text: &'a str,
}

/// Reads a declaration, and shows a token in it.
pub fn run(data: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) else { return };
    let outputs = BTreeSet::from(["output"]);
    let shape = match Shape::compile(&case.target(), Some(&outputs)) {
        Ok(shape) => shape,
        Err(error) => return assert_eq!(error.reason(), Reason::InvalidSpec, "{error}"),
    };
    let place = Place { namespace: "web", name: "shop", secret_name: "shop-token" };
    match shape.render(&case.shown(), place) {
        Ok(rendered) => case.check(&shape, &rendered),
        Err(error) => case.check_error(&error),
    }
}

impl Case<'_> {
    fn target(&self) -> Target {
        let on =
            |bit: u8, format: serde_json::Value| (self.formats & (1 << bit) != 0).then_some(format);
        let target = json!({
            "formats": {
                "authorizationHeader": on(0, json!({})),
                "netrc": on(1, json!({"host": "a.example"})),
                "dockerConfigJson": on(2, json!({"registries": ["a.example"], "username": "u"})),
                "env": on(3, json!({"key": self.key})),
                "json": on(4, json!({})),
                "argoCD": on(5, json!({"url": "https://a.example", "username": "u"})),
                "fluxGit": on(6, json!({})),
                "basicAuth": on(7, json!({"username": "u"})),
            },
            "template": {
                "data": {"text": self.text},
                "labels": {self.label.0: self.label.1},
                "annotations": {self.annotation.0: self.annotation.1},
            },
        });
        serde_json::from_value(target).unwrap_or_else(|error| panic!("{error}"))
    }

    fn shown(&self) -> Shown {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let outputs: BTreeMap<_, _> =
            self.output.iter().map(|value| ("output".to_owned(), (*value).into())).collect();
        Shown {
            access_token: self.token.into(),
            token_type: self.token_type.map(str::to_owned),
            times: Times { issued_at: at(0), expires_at: at(3600), refresh_at: at(3000) },
            outputs,
        }
    }

    /// All that was announced is there, fits into a Secret, and says no more than it may.
    fn check(&self, shape: &Shape, rendered: &Rendered) {
        let outline = shape.outline();
        assert!(outline.keys.iter().all(|key| rendered.data.contains_key(key)));
        assert!(outline.labels.iter().eq(rendered.labels.keys()));
        assert!(outline.annotations.iter().eq(rendered.annotations.keys()));
        let values = rendered.data.values().map(ExposeSecret::expose_secret);
        assert!(values.clone().map(str::len).sum::<usize>() <= LARGEST);
        assert_eq!(rendered.data["access_token"].expose_secret(), self.token);
        for key in rendered.labels.keys().chain(rendered.annotations.keys()) {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let is_of = |other: &str| domain == other || domain.ends_with(&format!(".{other}"));
            let reserved =
                ["kubernetes.io", "k8s.io", "tokenward.dev"].into_iter().find(|d| is_of(d));
            assert!(reserved.is_none(), "{key}");
        }
        let shown = rendered.annotations.values().chain(rendered.labels.values());
        if !self.token.is_empty() {
            shown.for_each(|value| assert!(!value.contains(self.token)));
        }
        for (key, lines) in [(".netrc", 1), ("authorization", 1)] {
            let value =
                rendered.data.get(key).filter(|_| outline.keys.contains(key) && self.key != key);
            if let Some(value) = value {
                assert_eq!(value.expose_secret().lines().count(), lines, "{key}");
            }
        }
    }

    fn check_error(&self, error: &Error) {
        assert_eq!(error.reason(), Reason::TargetNotRendered, "{error}");
        let quoted = [SAYS, self.label.0, self.annotation.0].concat();
        for value in [Some(self.token), self.output].into_iter().flatten() {
            if value.len() >= 12 && !quoted.contains(value) {
                assert!(!error.message().contains(value), "{error}");
            }
        }
    }
}
