//! The parts of a refresh that do no I/O, each by itself.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretBox;
use serde_json::json;
use tokenward::api::OAuthClientToken;
use tokenward::api::{Delivery, Target};
use tokenward::decide::{Facts, Means, Outline, Plan, Rivals, Seen, Snapshot, TargetMeta, decide};
use tokenward::oauth::{Answer, ENTROPY, Occasion, Supplies};
use tokenward::render::{Data, Place, Shape, Shown, Times, target_keys};

use super::token;

/// Something that is done over and over.
pub type Work = Box<dyn FnMut()>;

/// The name of something that is done, and what makes it ready to be done: that sees, too, that it
/// comes to what its name says.
pub type Subject = (&'static str, fn() -> Work);

/// What is measured.
pub const SUBJECTS: [Subject; 7] = [
    ("decide-noop", || decision(token::now(), |plan| matches!(plan, Plan::Wait { .. }))),
    ("decide-due", || decision(token::refresh_at(), |plan| matches!(plan, Plan::Fetch(_)))),
    ("request-client-credentials", || request("oauth2")),
    ("request-private-key-jwt", || request("oauth2-private-key-jwt")),
    ("answer", answer),
    ("render-plain", || render(&json!({}))),
    ("render-template", || {
        render(&json!({"template": {"data": {
            "header": "Authorization: {{ token_type }} {{ access_token }}",
            "curlrc": "header = \"Authorization: Bearer {{ access_token }}\"\n",
        }}}))
    }),
];

fn decision(now: DateTime<Utc>, is_expected: fn(&Plan) -> bool) -> Work {
    let snapshot = snapshot();
    let plan = decide(&snapshot, now, 0.5);
    assert!(is_expected(&plan), "{plan:?}");
    Box::new(move || drop(black_box(decide(black_box(&snapshot), now, 0.5))))
}

fn snapshot() -> Snapshot {
    let inputs = token::inputs();
    let token: OAuthClientToken = serde_json::from_value(token::resource(0)).unwrap();
    let target = token::target(0, &inputs);
    let target = TargetMeta::of(&serde_json::from_value(target["metadata"].clone()).unwrap());
    let restored =
        Facts::restore(&token.status.clone().unwrap_or_default(), Some(&target), &token::name(0));
    let seen = "shape/1".to_owned();
    let facts = Facts { seen: Some(Seen { at: seen.clone(), found: Ok(inputs) }), ..restored };
    Snapshot {
        owner: token.owner(),
        token: Arc::new(token),
        facts,
        means: Ok(Means { seen, ..Means::default() }),
        shape: Ok(Outline::default()),
        target: Some(target),
        rivals: Rivals::default(),
        keys: target_keys([]),
        holds: true,
        held_back: None,
        delivery: Delivery::Volume,
        resumed_at: token::issued_at() - TimeDelta::days(1),
    }
}

fn supplies(preset: &str) -> Supplies {
    Supplies { credentials: token::credentials(preset), ..Supplies::default() }
}

fn request(preset: &str) -> Work {
    let (endpoint, asking) = (token::endpoint(preset), token::asking());
    let supplies = supplies(preset);
    let occasion = Occasion { now: token::now(), entropy: [5; ENTROPY], metadata: None };
    Box::new(move || {
        drop(black_box(endpoint.request(black_box(&asking), &supplies, &occasion).unwrap()));
    })
}

fn answer() -> Work {
    let (endpoint, asking) = (token::endpoint("oauth2"), token::asking());
    let supplies = supplies("oauth2");
    let body = json!({
        "access_token": access_token(), "token_type": "Bearer", "expires_in": 3600,
        "scope": "orders.read",
    });
    let answer = Answer {
        status: 200,
        headers: [("date".parse().unwrap(), "Fri, 15 Jan 2027 08:15:00 GMT".parse().unwrap())]
            .into_iter()
            .collect(),
        body: SecretBox::new(Box::new(body.to_string().into_bytes())),
        sent_at: token::now(),
        received_at: token::now() + TimeDelta::milliseconds(40),
    };
    Box::new(move || {
        drop(black_box(endpoint.read(black_box(&answer), &asking, &supplies).unwrap()));
    })
}

fn render(target: &serde_json::Value) -> Work {
    let target: Target = serde_json::from_value(target.clone()).unwrap();
    let shape = Shape::compile(&target, Some(&BTreeSet::new())).unwrap();
    let shown = Shown {
        access_token: access_token().into(),
        token_type: Some("Bearer".to_owned()),
        times: Times {
            issued_at: token::issued_at(),
            expires_at: token::expires_at(),
            refresh_at: token::refresh_at(),
        },
        outputs: Data::new(),
    };
    Box::new(move || {
        let place = Place { namespace: token::NAMESPACE, name: "orders", secret_name: "orders" };
        drop(black_box(shape.render(black_box(&shown), place).unwrap()));
    })
}

/// As long as a JWT with a few claims.
fn access_token() -> String {
    "eyJhbGciOiJSUzI1NiJ9".repeat(45)
}
