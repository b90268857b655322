//! Values that try to be more than values: through variables, parameters, scopes and credentials,
//! of a tenant's provider and of the platform's. They arrive as data or are refused by name.

use provider_simulator::systems::{oauth2, optimizely, oracle};
use provider_simulator::{Client, Outcome, Recorded, System};
use serde_json::{Value, json};
use tokenward::api::conditions::READY;

use crate::harness::{OPERATOR_NAMESPACE, World, kubectl};

const HEADER: &str = "a\r\nX-Evil: 1";
const TEMPLATE: &str = "{{ credentials.client_secret }}";
const PATH: &str = "../x?y#z";
const ENCODED_PATH: &str = "..%2Fx%3Fy%23z";
const JSON: &str = r#"","client_id":"evil","x":"\"#;
const FORM: &str = "x&client_id=evil+%26=";
const ENCODED_FORM: &str = "x%26client_id%3Devil%2B%2526%3D";

enum Expected {
    /// Nothing is sent; the reason, and what the message names.
    Refused(&'static str, &'static str),
    /// The simulator takes it, and this holds of what it got.
    Received(fn(&Recorded) -> bool),
}
use Expected::{Received, Refused};

struct Case {
    name: &'static str,
    document: Value,
    credentials: Value,
    parameters: Value,
    scopes: Value,
    expected: Expected,
}

/// The generic document, its request overlaid.
fn generic(name: &'static str, request: &Value, expected: Expected) -> Case {
    let document = json!({
        "preset": "oauth2",
        "variables": {"tokenUrl": "http://$SIM/oauth2/token"},
        "request": request
    });
    let credentials = json!({
        "client_id": oauth2::CLIENT_ID, "client_secret": oauth2::CLIENT_SECRET,
        "header": HEADER, "path": PATH, "dots": ".."
    });
    let parameters = json!({});
    Case { name, document, credentials, parameters, scopes: json!([]), expected }
}

/// JSON with the credentials in it.
fn cms(name: &'static str, url: &str, expected: Expected) -> Case {
    let document = json!({
        "preset": "optimizely-cms-saas",
        "variables": {"host": "$SIM"},
        "request": {"url": url}
    });
    let credentials = json!({
        "client_id": optimizely::CLIENT_ID, "client_secret": optimizely::CLIENT_SECRET,
        "path": PATH, "dots": ".."
    });
    Case { document, credentials, ..generic(name, &json!({}), expected) }
}

/// A variable in the path.
fn channel(name: &'static str, variables: &Value, expected: Expected) -> Case {
    let url = "http://{{ host }}/content/management/api/v1.1/channels/{{ channelId }}/oauthToken";
    let document = json!({
        "preset": "oracle-content-channel", "variables": variables, "request": {"url": url}
    });
    let credentials = json!({"channel_secret": oracle::CHANNEL_SECRET});
    Case { document, credentials, ..generic(name, &json!({}), expected) }
}

fn with(mut case: Case, change: fn(&mut Case)) -> Case {
    change(&mut case);
    case
}

fn body(request: &Recorded) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

fn of_variables() -> Vec<Case> {
    let url = |name, url: &str, says| {
        let mut case = generic(name, &json!({}), Refused("InvalidProvider", says));
        case.document["variables"]["tokenUrl"] = url.into();
        case
    };
    let header = |name, value: &str, expected| {
        let mut case = generic(name, &json!({"headers": {"X-A": "{{ v }}"}}), expected);
        case.document["variables"]["v"] = value.into();
        case
    };
    vec![
        channel(
            "variable-path",
            &json!({"host": "$SIM", "channelId": PATH}),
            Received(|request| request.path.contains(&format!("/channels/{ENCODED_PATH}/"))),
        ),
        channel(
            "variable-dots",
            &json!({"host": "$SIM", "channelId": ".."}),
            Refused("InvalidProvider", "channelId"),
        ),
        channel(
            "variable-host-path",
            &json!({"host": "$SIM/evil?", "channelId": "x"}),
            Refused("InvalidProvider", "host"),
        ),
        channel(
            "variable-host-user",
            &json!({"host": "a@$SIM", "channelId": "x"}),
            Refused("InvalidProvider", "host"),
        ),
        channel(
            "variable-host-line",
            &json!({"host": "$SIM\r\nX-Evil: 1", "channelId": "x"}),
            Refused("InvalidProvider", "host"),
        ),
        url("variable-url-user", "http://a:b@$SIM/oauth2/token", "user name"),
        url("variable-url-dots", "http://$SIM/x/%2e%2E/oauth2/token", ". or .."),
        url("variable-url-line", "http://$SIM/oauth2/token\r\nX-Evil: 1", "tokenUrl"),
        url("variable-url-scheme", "file:///etc/passwd", "https://"),
        header("variable-header", HEADER, Refused("InvalidProvider", "request.headers.x-a")),
        header(
            "variable-template",
            TEMPLATE,
            Received(|request| request.header("x-a") == Some(TEMPLATE)),
        ),
    ]
}

fn of_parameters() -> Vec<Case> {
    let set = |mut case: Case, value: &str| {
        case.parameters = json!({"v": value});
        case
    };
    let header = json!({"headers": {"X-A": "{{ parameters.v }}"}});
    let audience = json!({"parameters": {"audience": "{{ parameters.v }}"}});
    let origin = json!({"url": "http://{{ parameters.v }}/oauth2/token"});
    let path = "http://$SIM/_cms/{{ parameters.v }}/oauth/token";
    let is_encoded =
        |request: &Recorded| request.path == format!("/_cms/{ENCODED_PATH}/oauth/token");
    let is_plain: fn(&Recorded) -> bool =
        |request| request.body.contains(&format!("audience={ENCODED_FORM}&"));
    let act_as = cms(
        "parameter-json",
        "http://$SIM/_cms/preview2/oauth/token",
        Received(|request| {
            let body = body(request);
            body["act_as"] == JSON
                && body["client_id"] == optimizely::CLIENT_ID
                && body.as_object().unwrap().len() == 4
        }),
    );
    let scopes = generic(
        "scopes",
        &json!({}),
        Received(|request| request.body.contains(&format!("scope={ENCODED_FORM}"))),
    );
    vec![
        set(generic("parameter-header", &header, Refused("InvalidSpec", "parameters.v")), HEADER),
        set(
            generic(
                "parameter-template",
                &header,
                Received(|request| request.header("x-a") == Some(TEMPLATE)),
            ),
            TEMPLATE,
        ),
        set(generic("parameter-form", &audience, Received(is_plain)), FORM),
        set(
            generic("parameter-origin", &origin, Refused("InvalidProvider", "only")),
            "evil.example",
        ),
        set(cms("parameter-path", path, Received(is_encoded)), PATH),
        set(cms("parameter-dots", path, Refused("InvalidSpec", "parameters.v")), ".."),
        set(cms("parameter-empty", path, Refused("InvalidSpec", "parameters.v")), ""),
        with(act_as, |case| case.parameters = json!({"act_as": JSON})),
        with(scopes, |case| case.scopes = json!([FORM])),
    ]
}

fn of_credentials() -> Vec<Case> {
    let header = json!({"headers": {"X-A": "{{ credentials.header }}"}});
    let posted = generic(
        "credential-form",
        &json!({}),
        Received(|request| request.body.contains(&format!("client_secret={ENCODED_FORM}"))),
    );
    let basic =
        generic("credential-basic", &json!({}), Received(|request| request.refusal.is_none()));
    let colon = generic("credential-colon", &json!({}), Refused("InvalidCredentials", "client_id"));
    let preview = "http://$SIM/_cms/preview2/oauth/token";
    let quotes = cms(
        "credential-json",
        preview,
        Received(|request| {
            let body = body(request);
            body["client_secret"] == JSON && body.as_object().unwrap().len() == 3
        }),
    );
    let (path, dots) = ("credentials.path", "credentials.dots");
    let url = |name: &str| format!("http://$SIM/_cms/{{{{ {name} }}}}/oauth/token");
    vec![
        generic("credential-header", &header, Refused("InvalidCredentials", "credentials.header")),
        with(posted, |case| {
            case.document["clientAuthentication"] = json!(["client_secret_post"]);
            case.credentials["client_secret"] = FORM.into();
        }),
        with(basic, |case| case.credentials["client_secret"] = FORM.into()),
        with(colon, |case| {
            case.document["basicEncoding"] = "raw".into();
            case.credentials["client_id"] = "a:b".into();
        }),
        with(quotes, |case| case.credentials["client_secret"] = JSON.into()),
        cms(
            "credential-path",
            &url(path),
            Received(|request| request.path == format!("/_cms/{ENCODED_PATH}/oauth/token")),
        ),
        cms("credential-dots", &url(dots), Refused("InvalidCredentials", dots)),
    ]
}

/// The objects of a case, as a tenant or a platform team would make them.
fn objects(world: &World, case: &Case, by_platform: bool) -> Vec<Value> {
    let Case { name, document, credentials, parameters, scopes, .. } = case;
    let shared = format!("{}-{name}", world.namespace);
    let provider_name = if by_platform { &shared } else { *name };
    let mut provider = document.clone();
    provider["limits"] = json!({"minInterval": "1s"});
    // By it the request is found again.
    provider["request"]["headers"]["X-Case"] = (*name).into();
    let mut spec = json!({
        "providerRef": {"kind": "OAuthProvider", "name": provider_name},
        "parameters": parameters, "scopes": scopes, "target": {"secretName": format!("{name}-token")}
    });
    let kind = if by_platform { "ClusterOAuthProvider" } else { "OAuthProvider" };
    spec["providerRef"]["kind"] = kind.into();
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": provider_name},
        "stringData": credentials
    });
    if by_platform {
        secret["metadata"]["namespace"] = OPERATOR_NAMESPACE.into();
        provider["credentialsSecretRef"] = json!({"name": provider_name});
        provider["usage"] = json!({
            "namespaceSelector": {}, "parameters": ["v", "act_as"], "scopes": [FORM]
        });
        world.litter(&["clusteroauthprovider", provider_name]);
        world.litter(&["-n", OPERATOR_NAMESPACE, "secret", provider_name]);
    } else {
        spec["credentialsSecretRef"] = json!({"name": provider_name});
    }
    let group = "tokenward.dev/v1alpha1";
    vec![
        secret,
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": provider_name}, "spec": provider}),
        json!({"apiVersion": group, "kind": "OAuthClientToken", "metadata": {"name": name, "namespace": world.namespace}, "spec": spec}),
    ]
}

async fn try_all(world: World, by_platform: bool) {
    let also = |system, id: &str, secret: &str| {
        world.sim.set_clients(system, vec![Client::default_of(system), Client::new(id, secret)]);
    };
    also(System::Oauth2, oauth2::CLIENT_ID, FORM);
    also(System::Optimizely, optimizely::CLIENT_ID, JSON);
    also(System::Oracle, PATH, oracle::CHANNEL_SECRET);
    let _operator = world.operator(if by_platform { &["--cluster-kinds"] } else { &[] });
    let cases: Vec<Case> =
        of_variables().into_iter().chain(of_parameters()).chain(of_credentials()).collect();
    let items: Vec<Value> =
        cases.iter().flat_map(|case| objects(&world, case, by_platform)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let list = list.replace("$SIM", &world.sim.addr().to_string());
    match by_platform {
        true => drop(kubectl(&["apply", "-f", "-"], &list)),
        false => world.apply_verbatim(&list),
    }
    for case in &cases {
        check(&world, case).await;
    }
    for request in world.sim.requests() {
        assert_eq!(request.header("x-evil"), None);
        assert!(!request.path.contains("evil"), "{}", request.path);
    }
}

async fn check(world: &World, case: &Case) {
    let name = case.name;
    let of_case =
        |requests: Vec<Recorded>| requests.into_iter().find(|r| r.header("x-case") == Some(name));
    match case.expected {
        Refused(reason, says) => {
            let message = world.until_condition(name, (READY, "False", reason)).await;
            assert!(message.contains(says), "{name}: {says:?} is not in {message:?}");
            assert!(!message.contains("X-Evil"), "{name}: {message:?}");
            assert!(of_case(world.sim.requests()).is_none(), "{name} was sent");
        }
        Received(holds) => {
            world.until_ready(name).await;
            let request = of_case(world.sim.requests()).unwrap();
            assert_eq!(request.outcome, Outcome::Issued, "{name}: {:?}", request.refusal);
            assert!(holds(&request), "{name}: {request:#?}");
        }
    }
}

#[tokio::test]
async fn no_value_of_a_tenant_is_more_than_a_value() {
    try_all(World::new("tenant").await, false).await;
}

#[tokio::test]
async fn no_value_gets_further_with_the_platforms_client() {
    try_all(World::new("shared").await, true).await;
}

#[tokio::test]
async fn the_api_server_refuses_scopes_and_names_that_are_none() {
    let world = World::new("schema").await;
    let refused = |object: Value| {
        let error = crate::harness::try_kubectl(
            &["-n", &world.namespace, "create", "-f", "-"],
            &object.to_string(),
        );
        error.unwrap_err()
    };
    let token = |spec: Value| {
        let mut whole =
            json!({"providerRef": {"name": "p"}, "credentialsSecretRef": {"name": "c"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({"apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
            "metadata": {"name": "t"}, "spec": whole})
    };
    for (spec, field) in [
        (json!({"scopes": ["a b"]}), "spec.scopes"),
        (json!({"scopes": ["a\"b"]}), "spec.scopes"),
        (json!({"parameters": {"a\r\nb": "x"}}), "spec.parameters"),
        (json!({"credentialsSecretRef": {"name": "../c"}}), "spec.credentialsSecretRef.name"),
        (json!({"target": {"secretName": "a/b"}}), "spec.target.secretName"),
        (json!({"target": {"secretName": "c"}}), "must not be the credentials Secret"),
    ] {
        let error = refused(token(spec.clone()));
        assert!(error.contains(field), "{spec}: {error}");
    }
}
