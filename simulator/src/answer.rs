//! A success in the shape of its system.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::authorization::ACCESS_TOKEN;
use crate::behaviour::ExpiresIn;
use crate::clock::rfc3339;
use crate::judged::GrantType;
use crate::reply::Reply;
use crate::systems::{Answer, ScopeAnswer};
use crate::tokens::Issue;

/// The status of a success.
pub(crate) const fn status(answer: Answer) -> StatusCode {
    match answer {
        Answer::Oauth { .. } => StatusCode::OK,
        Answer::Channel => StatusCode::CREATED,
    }
}

/// The answer that carries this token.
pub(crate) fn success(answer: Answer, issue: &Issue, rendering: &ExpiresIn) -> Reply {
    let body = match answer {
        Answer::Oauth { token_type, scope } => {
            let mut body = Map::new();
            body.insert("access_token".into(), issue.token.as_str().into());
            body.insert("token_type".into(), token_type.into());
            body.extend(
                seconds(issue.lifetime, rendering).map(|value| ("expires_in".into(), value)),
            );
            body.extend(scope_text(scope, issue).map(|value| ("scope".into(), value.into())));
            let refresh_token = issue.refresh_token.as_ref();
            body.extend(
                refresh_token.map(|(token, _)| ("refresh_token".into(), token.as_str().into())),
            );
            if issue.record.grant == Some(GrantType::TokenExchange) {
                body.insert("issued_token_type".into(), ACCESS_TOKEN.into());
            }
            body
        }
        Answer::Channel => {
            let mut body = Map::new();
            body.insert("token".into(), issue.token.as_str().into());
            body.insert("channelId".into(), issue.record.client_id.as_str().into());
            body.extend(expiration(issue, rendering).map(|value| ("expiration".into(), value)));
            body
        }
    };
    Reply::json(status(answer), &Value::Object(body))
}

/// The same members as a success, each of a type that it must not have.
pub(crate) fn wrong_types(answer: Answer) -> Reply {
    let body = match answer {
        Answer::Oauth { .. } => {
            json!({"access_token": 1_234_567_890, "token_type": ["Bearer"], "expires_in": {"seconds": 60}, "scope": 7})
        }
        Answer::Channel => {
            json!({"token": 1_234_567_890, "channelId": null, "expiration": {"value": 60, "timezone": 0}})
        }
    };
    Reply::json(status(answer), &body)
}

/// A success whose token is the empty string.
pub(crate) fn empty_token(answer: Answer) -> Reply {
    let body = match answer {
        Answer::Oauth { token_type, .. } => {
            json!({"access_token": "", "token_type": token_type, "expires_in": 3600})
        }
        Answer::Channel => json!({"token": "", "channelId": "", "expiration": null}),
    };
    Reply::json(status(answer), &body)
}

fn scope_text(scope: ScopeAnswer, issue: &Issue) -> Option<&str> {
    match scope {
        ScopeAnswer::Never => None,
        ScopeAnswer::Fixed(text) => Some(text),
        ScopeAnswer::Echoed => issue.record.scope.as_deref(),
    }
}

fn seconds(lifetime: i64, rendering: &ExpiresIn) -> Option<Value> {
    match rendering {
        ExpiresIn::Number => Some(lifetime.into()),
        ExpiresIn::String => Some(lifetime.to_string().into()),
        // Precise up to 2^53, which is as far as a float in JSON goes anyway.
        ExpiresIn::Float => serde_json::from_str(&format!("{lifetime}.0")).ok(),
        other => odd(other, json!({"seconds": lifetime})),
    }
}

fn expiration(issue: &Issue, rendering: &ExpiresIn) -> Option<Value> {
    let value = match rendering {
        ExpiresIn::Number | ExpiresIn::String | ExpiresIn::Float => {
            rfc3339(issue.record.expires_at).into()
        }
        other => odd(other, json!({"at": rfc3339(issue.record.expires_at)}))?,
    };
    Some(json!({"value": value, "timezone": "UTC"}))
}

/// The renderings that no client can take for a time.
fn odd(rendering: &ExpiresIn, object: Value) -> Option<Value> {
    match rendering {
        ExpiresIn::Null => Some(Value::Null),
        ExpiresIn::Object => Some(object),
        ExpiresIn::Boolean => Some(true.into()),
        ExpiresIn::Word => Some("soon".into()),
        ExpiresIn::Verbatim(value) => Some(value.clone()),
        ExpiresIn::Missing | ExpiresIn::Number | ExpiresIn::String | ExpiresIn::Float => None,
    }
}
