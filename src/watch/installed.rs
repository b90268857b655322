//! Whether the API server has our kinds, and has them as this process knows them. It is read from
//! what the API server publishes to everybody (`/openapi`), which needs no right of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::Value;
use tracing::{info, warn};

use crate::api::{GROUP, crds};
use crate::runtime::{ApiError, Readiness, in_time};

/// The gate.
const CRDS: &str = "crds";
const PUBLISHED: &str = "/openapi/v3/apis/tokenward.dev/v1alpha1";
const INSTALL: &str = "`tokenward crds | kubectl apply --server-side -f -` installs this version's";
/// Differences that are named.
const NAMED: usize = 3;

/// How the kinds are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Same,
    /// What of them differs, and what that means. It works as far as it can.
    Different(String),
    /// Which are not there.
    Missing(String),
    /// The API server does not let us look.
    Hidden(String),
    /// Nobody says.
    Unknown(String),
}

/// Keeps the gate `crds` up to date.
pub async fn look_after_crds(client: Client, readiness: Readiness, cluster_kinds: bool) {
    readiness.close(CRDS, "they are being looked for");
    let mut history = History::default();
    loop {
        let found = look(&client, cluster_kinds).await;
        let again = tell(&readiness, found, &mut history);
        tokio::time::sleep(again).await;
    }
}

/// What was found before.
#[derive(Default)]
struct History {
    last: Option<Found>,
    /// What was known last.
    known: Option<Found>,
}

impl History {
    /// Whether this is news.
    fn take(&mut self, found: &Found) -> bool {
        if !matches!(found, Found::Unknown(_)) {
            self.known = Some(found.clone());
        }
        self.last.replace(found.clone()).as_ref() != Some(found)
    }
}

/// Tells what was found, and when it is to be looked again.
fn tell(readiness: &Readiness, found: Found, history: &mut History) -> Duration {
    let news = history.take(&found);
    match found {
        Found::Same => {
            if news {
                info!("the CustomResourceDefinitions are this version's");
            }
            readiness.open(CRDS);
            Duration::from_mins(1)
        }
        Found::Different(told) => {
            if news {
                warn!("{told}");
            }
            readiness.open_with(CRDS, told);
            Duration::from_secs(30)
        }
        Found::Missing(told) => {
            if news {
                warn!("{told}");
            }
            readiness.close(CRDS, told);
            Duration::from_secs(2)
        }
        Found::Hidden(told) => {
            if news {
                warn!("what CustomResourceDefinitions are installed is not told: {told}");
            }
            readiness.open_with(CRDS, format!("not known: {told}"));
            Duration::from_secs(30)
        }
        Found::Unknown(told) => {
            if news {
                warn!("what CustomResourceDefinitions are installed is not known: {told}");
            }
            let told = format!("not known: {told}");
            // What was known before is not wrong for that.
            match history.known {
                None => readiness.close(CRDS, told),
                Some(Found::Same) => readiness.open_with(CRDS, told),
                Some(_) => {}
            }
            Duration::from_secs(5)
        }
    }
}

async fn look(client: &Client, cluster_kinds: bool) -> Found {
    let request = Request::get(PUBLISHED).body(Vec::new());
    let Ok(request) = request else { return Found::Unknown("the path is wrong".to_owned()) };
    match in_time(client.request::<Value>(request)).await {
        Ok(published) => compare(&published, cluster_kinds),
        Err(ApiError::Refused(status)) if status.code == 404 => {
            compare(&Value::Null, cluster_kinds)
        }
        Err(ApiError::Refused(status)) if [401, 403].contains(&status.code) => {
            Found::Hidden(ApiError::Refused(status).to_string())
        }
        Err(error) => Found::Unknown(error.to_string()),
    }
}

fn compare(published: &Value, cluster_kinds: bool) -> Found {
    let (mut missing, mut lacks, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for crd in crds() {
        let kind = &crd.spec.names.kind;
        let Some(theirs) = schema(published, kind) else {
            if cluster_kinds || crd.spec.scope == "Namespaced" {
                missing.push(crd.metadata.name.unwrap_or_default());
            }
            continue;
        };
        let (ours, theirs) = (members(&own(&crd)), members(theirs));
        let of_kind = |member: &String| format!("{kind} {member}");
        lacks.extend(ours.difference(&theirs).map(of_kind));
        extra.extend(theirs.difference(&ours).map(of_kind));
    }
    if !missing.is_empty() {
        return Found::Missing(format!("not installed: {}; {INSTALL}", missing.join(", ")));
    }
    let version = env!("CARGO_PKG_VERSION");
    match (lacks.is_empty(), extra.is_empty()) {
        (true, true) => Found::Same,
        (false, _) => Found::Different(format!(
            "the CustomResourceDefinitions are not those of tokenward {version}: they lack {}, which \
             the API server drops; {INSTALL}",
            named(&lacks)
        )),
        (true, false) => Found::Different(format!(
            "the CustomResourceDefinitions are newer than tokenward {version}, which does not know {}: \
             upgrade it",
            named(&extra)
        )),
    }
}

fn named(members: &[String]) -> String {
    let more = members.len().saturating_sub(NAMED);
    let first: Vec<&str> = members.iter().take(NAMED).map(String::as_str).collect();
    match more {
        0 => first.join(", "),
        _ => format!("{} and {more} more", first.join(", ")),
    }
}

/// The schema that is published of a kind.
fn schema<'a>(published: &'a Value, kind: &str) -> Option<&'a Value> {
    let schemas = published.pointer("/components/schemas")?.as_object()?;
    schemas.values().find(|schema| {
        let names = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        let names = names.into_iter().flatten();
        names.into_iter().any(|name| name["group"] == GROUP && name["kind"] == kind)
    })
}

fn own(crd: &CustomResourceDefinition) -> Value {
    let version = crd.spec.versions.first();
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).unwrap_or_default()
}

/// Everything that a schema lets into spec and status.
fn members(schema: &Value) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    for part in ["spec", "status"] {
        let schema = schema.pointer(&format!("/properties/{part}"));
        gather(schema.unwrap_or(&Value::Null), part, &mut members);
    }
    members
}

fn gather(schema: &Value, path: &str, members: &mut BTreeSet<String>) {
    members.insert(path.to_owned());
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        gather(schema, &format!("{path}.{name}"), members);
    }
    let words = schema.get("enum").and_then(Value::as_array);
    for word in words.into_iter().flatten().filter_map(Value::as_str) {
        members.insert(format!("{path}={word}"));
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let Some(schema) = schema.get(key).filter(|schema| schema.is_object()) {
            gather(schema, &format!("{path}{mark}"), members);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What an API server publishes that has exactly ours.
    fn published() -> Value {
        let schemas: serde_json::Map<String, Value> = crds()
            .iter()
            .map(|crd| {
                let kind = &crd.spec.names.kind;
                let mut schema = own(crd);
                schema["x-kubernetes-group-version-kind"] =
                    json!([{"group": GROUP, "kind": kind, "version": "v1alpha1"}]);
                (format!("dev.tokenward.v1alpha1.{kind}"), schema)
            })
            .collect();
        json!({"components": {"schemas": schemas}})
    }

    fn token(published: &mut Value) -> &mut Value {
        let path = "/components/schemas/dev.tokenward.v1alpha1.OAuthClientToken/properties/spec";
        published.pointer_mut(path).unwrap()
    }

    #[test]
    fn what_is_installed_is_compared_by_its_fields() {
        assert_eq!(compare(&published(), true), Found::Same);
        let mut older = published();
        token(&mut older)["properties"].as_object_mut().unwrap().remove("suspend");
        let Found::Different(told) = compare(&older, true) else { panic!("they differ") };
        assert!(told.contains("they lack OAuthClientToken spec.suspend, which"), "{told}");
        let mut newer = published();
        token(&mut newer)["properties"]["shiny"] = json!({"type": "string"});
        let Found::Different(told) = compare(&newer, true) else { panic!("they differ") };
        assert!(told.contains("does not know OAuthClientToken spec.shiny: upgrade it"), "{told}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let told = |found| match found {
            Found::Missing(told) => told,
            found => panic!("{found:?}"),
        };
        let all = told(compare(&Value::Null, true));
        assert!(all.contains("clusteroauthproviders.tokenward.dev"), "{all}");
        let namespaced = told(compare(&Value::Null, false));
        let expected =
            "not installed: oauthclienttokens.tokenward.dev, oauthproviders.tokenward.dev; ";
        assert!(namespaced.starts_with(expected), "{namespaced}");
    }

    #[test]
    fn a_closed_gate_opens_and_an_answer_that_is_missing_closes_none() {
        let (readiness, mut history) = (Readiness::default(), History::default());
        let mut tell = |found| {
            tell(&readiness, found, &mut history);
            readiness.told()
        };
        let unknown = |told: &str| Found::Unknown(told.to_owned());
        assert_eq!(tell(unknown("late")), "[-] crds: not known: late\n", "nobody has seen them");
        let missing = Found::Missing("not installed: all".to_owned());
        assert_eq!(tell(missing), "[-] crds: not installed: all\n");
        assert_eq!(tell(unknown("late")), "[-] crds: not installed: all\n", "nor that they came");
        assert_eq!(tell(Found::Same), "[+] crds\n");
        assert_eq!(tell(unknown("late")), "[+] crds: not known: late\n");
        assert_eq!(tell(unknown("gone")), "[+] crds: not known: gone\n");
        let hidden = Found::Hidden("no".to_owned());
        assert_eq!(tell(hidden), "[+] crds: not known: no\n", "it works all the same");
    }

    #[test]
    fn what_was_said_before_is_no_news() {
        let mut history = History::default();
        let said: Vec<bool> =
            [Found::Same, Found::Same, Found::Unknown(String::new()), Found::Same]
                .iter()
                .map(|found| history.take(found))
                .collect();
        assert_eq!(said, [true, false, true, true]);
    }
}
