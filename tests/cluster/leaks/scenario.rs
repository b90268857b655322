//! A story in which everything happens that could make an operator talk.

use provider_simulator::systems::{mediahound, oauth2, optimizely, oracle, sitecore};
use provider_simulator::{Behaviour, Client, Fault, Options, RetryAfter, Simulator, System};
use serde_json::{Value, json};
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::conditions::{self, FRESH, READY};

use super::search::Needles;
use super::{shapes, sources};
use crate::harness::{ADMIN, OPERATOR_NAMESPACE, World, kubectl, try_kubectl};

/// A secret that the provider does not know, with what escaping has to do with.
const WRONG: &str = "wr0ng\"se\\cret/+=&%25:never&known";
/// What the credentials are changed to.
pub const ROTATED: &str = "r0t@ted/se\"cret+=:%2F&while\\up9";
/// The platform's own.
const PLATFORM: &str = "pl4tform+secret/=&:%41'only\"ours";
/// A secret that cannot be sent: it has a line break in it.
const BROKEN: &str = "br0ken\nsecret-of-two-lines-9Zk";
/// A token in an answer that cannot be used.
const ANSWERED: &str = "4nswered-t0ken-in-a-broken-answer-Yq7";

/// Where what the admin port has shown is kept, in the folder of the world.
pub const METRICS: &str = "metrics";

const LEVEL: [&str; 3] = ["--cluster-kinds", "--log-level", "trace"];

/// The story's end: no operator runs any more.
pub struct Scenario {
    /// Where it was played.
    pub world: World,
    /// A provider for one token alone: what it repeats is this token's own.
    talker: Simulator,
}

impl Scenario {
    /// Plays it.
    pub async fn play() -> Self {
        let scenario = Self {
            world: World::new("leaks").await,
            talker: Simulator::start(Options::default()).await.unwrap(),
        };
        let world = &scenario.world;
        world.sim.set_clients(
            System::Oauth2,
            vec![
                Client::default_of(System::Oauth2),
                Client::new(oauth2::CLIENT_ID, ROTATED),
                Client::new("platform", PLATFORM),
            ],
        );
        sources::prepare(world).await;
        let operator = world.operator(&[&LEVEL[..], &ADMIN].concat());
        scenario.four_systems().await;
        scenario.platform().await;
        sources::play(world).await;
        scenario.refusals().await;
        let mut figures = operator.admin("/metrics").1;
        operator.kill();
        let json = ["--log-format", "json"];
        let operator = world.operator(&[&LEVEL[..], &ADMIN, &json].concat());
        scenario.answers().await;
        scenario.changes().await;
        shapes::play(&scenario).await;
        figures += &operator.admin("/metrics").1;
        std::fs::write(world.folder().join(METRICS), figures).unwrap();
        assert_eq!(operator.terminate().await.code(), Some(0));
        scenario
    }

    /// Applied on the server, so that no annotation of kubectl's holds the credentials.
    fn apply(&self, object: &Value) {
        let text = object.to_string().replace("$SIM", &self.world.sim.addr().to_string());
        let namespace = &self.world.namespace;
        kubectl(
            &["-n", namespace, "apply", "--server-side", "--force-conflicts", "-f", "-"],
            &text,
        );
    }

    /// A provider, credentials and a token, all of one name.
    pub(super) fn apply_token(&self, name: &str, (provider, credentials): (Value, Value)) {
        let mut list = vec![
            object("OAuthProvider", name, json!({"spec": provider})),
            object(
                "OAuthClientToken",
                name,
                json!({"spec": {
                "providerRef": {"name": name},
                "credentialsSecretRef": {"name": format!("{name}-client")}}}),
            ),
        ];
        list.push(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("{name}-client")}, "stringData": credentials}));
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": list}));
    }

    pub(super) async fn until_reason(&self, name: &str, type_: &str, reason: &str) {
        let is = |status: &OAuthClientTokenStatus| {
            conditions::find(&status.conditions, type_).is_some_and(|c| c.reason == reason)
        };
        self.world.until_status(name, is).await;
    }

    /// Short lives: each is refreshed a few times while the story goes on.
    async fn four_systems(&self) {
        for system in System::ALL {
            self.world.sim.set(system, Behaviour::living(12));
        }
        let id = |id: &str, secret: &str| json!({"client_id": id, "client_secret": secret});
        let tokens = [
            ("oauth2", oauth2_provider(), id(oauth2::CLIENT_ID, oauth2::CLIENT_SECRET)),
            (
                "sitecore",
                json!({"preset": "sitecore-content-hub-one", "limits": {"minInterval": "1s"},
                    "variables": {"authority": "http://$SIM/sitecore/oauth/token", "audience": sitecore::AUDIENCE}}),
                id(sitecore::CLIENT_ID, sitecore::CLIENT_SECRET),
            ),
            (
                "mediahound",
                json!({"preset": "mediahound", "variables": {"tokenUrl": "http://$SIM/mediahound/oauth/token"}}),
                id(mediahound::CLIENT_ID, mediahound::CLIENT_SECRET),
            ),
            (
                "optimizely",
                json!({"preset": "optimizely-cms-saas", "variables": {"host": "$SIM"},
                    "request": {"url": "http://{{ host }}/_cms/{{ version }}/oauth/token"}}),
                id(optimizely::CLIENT_ID, optimizely::CLIENT_SECRET),
            ),
            (
                "optimizely-basic",
                json!({"preset": "optimizely-cms-saas-basic", "variables": {"host": "$SIM"},
                    "request": {"url": "http://{{ host }}/_cms/{{ version }}/oauth/token"}}),
                id(optimizely::CLIENT_ID, optimizely::CLIENT_SECRET),
            ),
            (
                "oracle",
                json!({"preset": "oracle-content-channel",
                    "variables": {"host": "$SIM", "channelId": oracle::CHANNEL_ID},
                    "request": {"url": "http://{{ host }}/content/management/api/v1.1/channels/{{ channelId }}/oauthToken"}}),
                json!({"channel_secret": oracle::CHANNEL_SECRET}),
            ),
        ];
        for (name, provider, credentials) in &tokens {
            self.apply_token(name, (provider.clone(), credentials.clone()));
        }
        for (name, ..) in &tokens {
            self.world.until_ready(name).await;
        }
    }

    /// A token with the platform's own client.
    async fn platform(&self) {
        let name = self.platform_name();
        kubectl(
            &["apply", "--server-side", "-f", "-"],
            &json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE},
                "stringData": {"client_id": "platform", "client_secret": PLATFORM}})
            .to_string(),
        );
        let mut provider = oauth2_provider();
        provider["credentialsSecretRef"] = json!({"name": name});
        provider["usage"] = json!({"namespaceSelector":
            {"matchLabels": {"kubernetes.io/metadata.name": self.world.namespace}}});
        self.apply(&object("ClusterOAuthProvider", &name, json!({"spec": provider})));
        self.apply(&object(
            "OAuthClientToken",
            "platform",
            json!({"spec": {"providerRef": {"kind": "ClusterOAuthProvider", "name": name}}}),
        ));
        self.world.until_ready("platform").await;
        // A parameter that is not admitted.
        self.apply(&object(
            "OAuthClientToken",
            "platform-denied",
            json!({"spec": {"providerRef": {"kind": "ClusterOAuthProvider", "name": name}, "scopes": ["all"]}}),
        ));
        self.until_reason("platform-denied", READY, "ScopeNotAllowed").await;
    }

    fn platform_name(&self) -> String {
        format!("platform-{}", self.world.namespace)
    }

    /// Logins that fail, and credentials that cannot be used.
    async fn refusals(&self) {
        let wrong = json!({"client_id": oauth2::CLIENT_ID, "client_secret": WRONG});
        self.apply_token("wrong", (oauth2_provider(), wrong.clone()));
        // The secret in the URL, at an endpoint that refuses it, and at one that is not there.
        let mut query = oauth2_provider();
        query["request"] =
            json!({"encoding": "query", "headers": {"X-Key": "{{ credentials.client_secret }}"}});
        query["clientAuthentication"] = json!(["client_secret_post"]);
        self.apply_token("query", (query.clone(), wrong.clone()));
        query["variables"] = json!({"tokenUrl": "http://127.0.0.1:1/token"});
        self.apply_token("nobody", (query, wrong.clone()));
        let broken = json!({"client_id": oauth2::CLIENT_ID, "client_secret": BROKEN});
        let mut header = oauth2_provider();
        header["request"] = json!({"headers": {"X-Key": "{{ credentials.client_secret }}"}});
        self.apply_token("broken", (header, broken.clone()));
        self.apply_token(
            "misspelt",
            (oauth2_provider(), json!({"client_id": "x", "client_secrt": WRONG})),
        );
        let mut mistaken = oauth2_provider();
        mistaken["request"] = json!({"headers": {"X-Key": "{{ credentials.nope }}"}});
        self.apply_token("mistaken", (mistaken, wrong));
        for (name, reason) in [
            ("wrong", "TokenRequestRejected"),
            ("nobody", "ProviderUnreachable"),
            ("broken", "InvalidCredentials"),
            ("misspelt", "CredentialsKeyMissing"),
            ("mistaken", "CredentialsKeyMissing"),
        ] {
            self.until_reason(name, READY, reason).await;
        }
        self.world.until_status("query", |status| status.consecutive_failures > 0).await;
    }

    /// Answers that repeat what they were asked with, or hold a token that cannot be used.
    async fn answers(&self) {
        let secret = oauth2::CLIENT_SECRET;
        let mut provider = oauth2_provider();
        provider["variables"] = json!({"tokenUrl": self.talker.endpoint(System::Oauth2)});
        let credentials = json!({"client_id": oauth2::CLIENT_ID, "client_secret": secret});
        self.apply_token("talker", (provider, credentials));
        self.world.until_ready("talker").await;
        let verbatim = |status, body: String| {
            Behaviour::failing(Fault::Verbatim {
                status,
                content_type: "application/json".to_owned(),
                body,
            })
        };
        let failing = Behaviour::failing;
        let faults = [
            verbatim(
                400,
                json!({"error": "invalid_client", "error_description": secret}).to_string(),
            ),
            verbatim(400, json!({"error": secret, "error_description": ANSWERED}).to_string()),
            verbatim(500, secret.to_owned()),
            verbatim(200, format!("{{\"access_token\": \"{ANSWERED}\", \"expires_in\":")),
            verbatim(200, json!({"access_token": ANSWERED}).to_string()),
            verbatim(200, json!({"access_token": ANSWERED, "expires_in": ANSWERED}).to_string()),
            verbatim(
                200,
                json!({"access_token": {"value": ANSWERED}, "error": ANSWERED}).to_string(),
            ),
            verbatim(302, ANSWERED.to_owned()),
            failing(Fault::DropMidBody),
            failing(Fault::WrongTypes),
            failing(Fault::huge_body()),
            failing(Fault::Throttled {
                status: 503,
                retry_after: RetryAfter::Verbatim(ANSWERED.to_owned()),
            }),
            failing(Fault::throttled(RetryAfter::Seconds(1))),
        ];
        for (n, fault) in faults.into_iter().enumerate() {
            self.talker.set(System::Oauth2, fault);
            self.ask("talker", &format!("fault-{n}")).await;
        }
        // A good answer that repeats secrets where the status shows something.
        let echo = json!({"access_token": ANSWERED, "expires_in": 600, "token_type": ANSWERED,
            "scope": format!("read {secret} {ANSWERED} x{}", &secret[3..20])});
        self.talker.set(System::Oauth2, verbatim(200, echo.to_string()));
        self.ask("talker", "echo").await;
        self.until_reason("talker", FRESH, "Refreshed").await;
    }

    /// Asks for a refresh and waits for its end, unless the provider wants silence.
    async fn ask(&self, name: &str, wish: &str) {
        let note = format!("tokenward.dev/refresh-requested-at={wish}");
        self.world.kubectl(&["annotate", "oauthclienttoken", name, "--overwrite", &note]);
        let handled = |status: &OAuthClientTokenStatus| {
            status.last_handled_refresh_request.as_deref() == Some(wish)
                || status.throttled_until.is_some()
        };
        self.world.until_status(name, handled).await;
    }

    /// What people do to tokens, targets and credentials.
    async fn changes(&self) {
        let world = &self.world;
        let rotated = json!({"client_id": oauth2::CLIENT_ID, "client_secret": ROTATED});
        self.apply(&json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "wrong-client"}, "stringData": rotated}));
        world.until_ready("wrong").await;
        let patch = |name: &str, spec: Value| {
            let spec = json!({"spec": spec}).to_string();
            world.kubectl(&["patch", "oauthclienttoken", name, "--type=merge", "-p", &spec]);
        };
        patch("sitecore", json!({"target": {"secretName": "renamed"}}));
        let renamed =
            |status: &OAuthClientTokenStatus| status.secret_name.as_deref() == Some("renamed");
        world.until_status("sitecore", renamed).await;
        patch("mediahound", json!({"suspend": true}));
        self.until_reason("mediahound", FRESH, "Suspended").await;
        let uid = |secret: Option<&k8s_openapi::api::core::v1::Secret>| {
            secret.and_then(|secret| secret.metadata.uid.clone())
        };
        let before = uid(Some(&world.secret("oracle").await.0));
        world.kubectl(&["delete", "secret", "oracle"]);
        world.until("oracle", |secret| secret.is_some() && uid(secret) != before).await;
        patch("optimizely", json!({"target": {"secretName": "wrong-client"}}));
        self.until_reason("optimizely", FRESH, "SecretNotOwned").await;
        world.kubectl(&["delete", "oauthclienttoken", "optimizely-basic"]);
        world
            .until::<k8s_openapi::api::core::v1::Secret>("optimizely-basic", |s| s.is_none())
            .await;
    }

    /// Everything that was secret.
    pub fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        for (name, client) in [
            ("oauth2", (oauth2::CLIENT_ID, oauth2::CLIENT_SECRET)),
            ("sitecore", (sitecore::CLIENT_ID, sitecore::CLIENT_SECRET)),
            ("mediahound", (mediahound::CLIENT_ID, mediahound::CLIENT_SECRET)),
            ("optimizely", (optimizely::CLIENT_ID, optimizely::CLIENT_SECRET)),
            ("oracle", (oracle::CHANNEL_ID, oracle::CHANNEL_SECRET)),
            ("wrong", (oauth2::CLIENT_ID, WRONG)),
            ("rotated", (oauth2::CLIENT_ID, ROTATED)),
            ("platform", ("platform", PLATFORM)),
            ("broken", (oauth2::CLIENT_ID, BROKEN)),
        ] {
            needles.add(name, client.1);
            needles.add_basic(name, client);
        }
        needles.add("answered", ANSWERED);
        needles.add("refresh token", oauth2::REFRESH_TOKEN);
        sources::add_needles(&self.world, &mut needles);
        let tokens: Vec<_> = self.tokens().collect();
        assert!(tokens.len() > 12, "{} tokens", tokens.len());
        for token in tokens {
            needles.add("token", &token);
        }
        let key = ["-n", OPERATOR_NAMESPACE, "get", "secret", "tokenward-digest-key", "-o"];
        let key = kubectl(&[&key[..], &["jsonpath={.data.key}"]].concat(), "");
        needles.add("digest key", &key);
        let kubeconfig = std::fs::read(self.world.folder().join("kubeconfig")).unwrap();
        let kubeconfig: Value = serde_json::from_slice(&kubeconfig).unwrap();
        needles.add("its own token", kubeconfig["users"][0]["user"]["token"].as_str().unwrap());
        needles
    }

    fn tokens(&self) -> impl Iterator<Item = String> {
        let requests = self.world.sim.requests().into_iter().chain(self.talker.requests());
        requests.filter_map(|request| request.token)
    }

    /// Some token.
    pub fn a_token(&self) -> String {
        self.tokens().next().unwrap()
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        // What does not go with the namespace.
        let name = self.platform_name();
        let _ = try_kubectl(&["delete", "clusteroauthprovider", &name, "--wait=false"], "");
        let _ = try_kubectl(&["-n", OPERATOR_NAMESPACE, "delete", "secret", &name], "");
    }
}

pub(super) fn oauth2_provider() -> Value {
    json!({"preset": "oauth2", "variables": {"tokenUrl": "http://$SIM/oauth2/token"},
        "limits": {"minInterval": "1s"}})
}

fn object(kind: &str, name: &str, mut rest: Value) -> Value {
    rest["apiVersion"] = json!("tokenward.dev/v1alpha1");
    rest["kind"] = json!(kind);
    rest["metadata"] = json!({"name": name});
    rest
}
