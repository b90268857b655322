//! A client at the server, a folder of manifests and a folder of targets for one test.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::server::{Side, server};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one test has to itself.
pub struct Bench {
    pub side: Side,
    /// The id of its client, which no other test has.
    pub client_id: String,
    /// Of its token, its target and, with an ending, the other resources.
    name: String,
    folder: Arc<TempDir>,
}

impl Bench {
    pub fn new() -> Self {
        Self::on(Side::Http)
    }

    pub fn on(side: Side) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        let name = "token".to_owned();
        Self { side, client_id: new_client_id(), name, folder: Arc::new(folder) }
    }

    /// Another token, with a client of its own, in the same folders.
    pub fn beside(&self, name: &str) -> Self {
        self.beside_on(self.side, name)
    }

    pub fn beside_on(&self, side: Side, name: &str) -> Self {
        let folder = Arc::clone(&self.folder);
        Self { side, client_id: new_client_id(), name: name.to_owned(), folder }
    }

    /// Registers the client. What `metadata` does not say: all grants, the scopes read and write.
    pub async fn register(&self, metadata: Value) {
        self.try_register(metadata).await.unwrap();
    }

    pub async fn try_register(&self, metadata: Value) -> Result<(), String> {
        let usual = json!({
            "client_id": self.client_id,
            "scope": "openid offline_access read write",
            "grant_types": [
                "client_credentials", "refresh_token", "password",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ],
        });
        let client = merge(usual, metadata);
        server().try_control(self.side, "client", &client).await.map(drop)
    }

    /// Asks the server's control side about this client.
    pub async fn control(&self, name: &str, body: Value) -> Value {
        let body = merge(json!({"client_id": self.client_id}), body);
        server().control(self.side, name, body).await
    }

    pub fn token_url(&self) -> String {
        format!("{}/token", server().issuer(self.side))
    }

    /// Writes a provider. What `spec` does not say: the server's token endpoint.
    pub fn write_provider(&self, spec: Value) {
        let mut usual = json!({
            "grant": "client_credentials",
            "request": {"url": self.token_url()},
            "limits": {"minInterval": "1s"},
        });
        if self.side == Side::Https {
            usual["caBundle"] = server().authority.pem.as_str().into();
        }
        self.write("OAuthProvider", "-provider", json!({"spec": merge(usual, spec)}));
    }

    /// Writes the credentials: the client's id, and these.
    pub fn write_credentials(&self, credentials: Value) {
        let credentials = merge(json!({"client_id": self.client_id}), credentials);
        self.write("Secret", "-credentials", json!({"stringData": credentials}));
    }

    /// Writes the token, with this in its spec.
    pub fn write_token(&self, spec: Value) {
        let usual = json!({
            "providerRef": {"name": format!("{}-provider", self.name)},
            "credentialsSecretRef": {"name": format!("{}-credentials", self.name)},
        });
        self.write("OAuthClientToken", "", json!({"spec": merge(usual, spec)}));
    }

    /// What tokenward calls the token.
    pub fn token(&self) -> String {
        format!("web/{}", self.name)
    }

    /// Asks for a refresh, as a person does.
    pub fn ask_for_refresh(&self, request: &str) {
        let file = self.manifest(&self.name);
        let token: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let annotations = json!({"tokenward.dev/refresh-requested-at": request});
        let asked = json!({"metadata": {"annotations": annotations}});
        self.write("OAuthClientToken", "", merge(token, asked));
    }

    /// JSON is YAML.
    fn write(&self, kind: &str, ending: &str, body: Value) {
        let version = if kind == "Secret" { "v1" } else { "tokenward.dev/v1alpha1" };
        let name = format!("{}{ending}", self.name);
        let head = json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "web"},
        });
        fs::write(self.manifest(&name), merge(head, body).to_string()).unwrap();
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.folder.path().join("manifests").join(name).with_extension("yaml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("local").arg(self.folder.path().join("manifests"));
        command.arg("--out").arg(self.out());
        command.args(["--egress-allow-cidr", "127.0.0.0/8", "--log-level", "trace"]);
        if self.side == Side::Http {
            command.arg("--allow-http");
        }
        command
    }

    /// Starts `tokenward local`, which goes on until this is dropped.
    pub fn keep(&self) -> Keeper {
        let log = self.folder.path().join("log");
        let stderr = fs::File::create(&log).unwrap();
        let child = self.command().stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Keeper { child, log }
    }

    /// Waits until `is` holds.
    pub async fn until(&self, what: &str, is: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is().await {
            assert!(Instant::now() < deadline, "it never came to be that {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs `tokenward local --once`.
    pub async fn run(&self) -> Run {
        let mut command = self.command();
        command.arg("--once");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let run = Run { output, token: self.token() };
        self.assert_nothing_told(&run);
        run
    }

    /// No secret that went in or came out is in what was printed, not even at trace.
    fn assert_nothing_told(&self, run: &Run) {
        let text = run.stdout() + &run.stderr();
        let file = self.manifest(&format!("{}-credentials", self.name));
        let manifest: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        for (key, value) in manifest["stringData"].as_object().unwrap() {
            let public = matches!(key.as_str(), "client_id" | "key_id" | "username" | "tls.crt");
            // The first line of PEM is the same for all.
            let value = value.as_str().unwrap_or_default();
            let value = value.lines().find(|line| !line.starts_with("-----")).unwrap_or_default();
            assert!(public || value == self.client_id || !text.contains(value), "{key}: {text}");
        }
        let token = self.key("access_token");
        assert!(!token.is_some_and(|token| text.contains(&token)), "the token: {text}");
    }

    /// Runs it, and checks with the server that the target holds a good token of this client.
    pub async fn good(&self) -> Good {
        self.run().await.assert_good();
        self.vouched().await
    }

    /// Checks it without running anything.
    pub async fn vouched(&self) -> Good {
        let claims = server().introspect(self.side, &self.key("access_token").unwrap()).await;
        let good = Good { claims, ..self.look() };
        assert_eq!(good.claims["active"], true, "{}", good.claims);
        good.agrees(self);
        good
    }

    /// The same where the token is a JWT, which resource servers check themselves.
    pub async fn good_jwt(&self, audience: &str) -> Good {
        self.run().await.assert_good();
        let body = json!({"token": self.key("access_token"), "audience": audience});
        let claims = self.control("verify", body).await["payload"].take();
        let good = Good { claims, ..self.look() };
        good.agrees(self);
        good
    }

    fn look(&self) -> Good {
        let text = fs::read(self.target().with_extension("json")).unwrap();
        Good {
            token: self.key("access_token").unwrap(),
            annotations: serde_json::from_slice(&text).unwrap(),
            claims: Value::Null,
        }
    }

    /// Takes the token out of the manifests.
    pub fn remove(&self) {
        fs::remove_file(self.manifest(&self.name)).unwrap();
    }

    /// Where the targets are.
    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// A key of the target; `None` where there is none.
    pub fn key(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.target().join(key)).ok()
    }

    fn target(&self) -> PathBuf {
        self.out().join("web").join(&self.name)
    }

    /// What came of this client's requests at the token endpoint: the code, or `success`, and the
    /// server's own words.
    pub async fn assert_log(&self, expected: &[(&str, &str)]) {
        let answer = self.control("log", json!({})).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let requests = answer["requests"].as_array().unwrap();
        let log: Vec<(String, String)> = requests
            .iter()
            .map(|entry| (text(&entry["outcome"]), text(&entry["detail"])))
            .collect();
        let log: Vec<(&str, &str)> = log.iter().map(|(code, words)| (&**code, &**words)).collect();
        assert_eq!(log, expected);
    }
}

fn new_client_id() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("client-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A running `tokenward local`. Dropped, it is killed.
pub struct Keeper {
    child: Child,
    log: PathBuf,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the log\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// A token that the server vouches for.
pub struct Good {
    pub token: String,
    /// What the server says of it.
    pub claims: Value,
    annotations: Value,
}

impl Good {
    /// Whose it is and how long it lives, as both sides see it.
    fn agrees(&self, bench: &Bench) {
        assert_eq!(self.claims["client_id"], bench.client_id, "{}", self.claims);
        assert_eq!(bench.key("token_type").as_deref(), Some("Bearer"));
        let expires_at = self.annotations["tokenward.dev/expires-at"].as_str().unwrap();
        assert_eq!(bench.key("expires_at").as_deref(), Some(expires_at));
        let believed = expires_at.parse::<DateTime<Utc>>().unwrap().timestamp();
        let true_end = self.claims["exp"].as_i64().unwrap();
        // Life counts from just before the request: never longer than the server lets it live.
        assert!((true_end - 60..=true_end).contains(&believed), "{believed} of {true_end}");
    }
}

/// What `tokenward` said.
pub struct Run {
    output: Output,
    token: String,
}

impl Run {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn assert_good(&self) {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.stderr());
        self.assert_good_of(&self.token);
    }

    /// This one is good, whatever else there is.
    pub fn assert_good_of(&self, token: &str) {
        let good = self.stdout().lines().any(|line| line == format!("{token}: good"));
        let complaints = self.stderr();
        let complaints = complaints.lines().filter(|line| line.contains(&format!("{token}: ")));
        assert!(good, "{token}: {:?}", complaints.collect::<Vec<_>>());
    }

    /// Good still, but its refresh failed: with these words.
    pub fn assert_good_still(&self, words: &str) {
        assert_eq!(self.output.status.code(), Some(0), "{}", self.stderr());
        let still = format!("{}: good still, but ", self.token);
        let line = self.stdout().lines().find(|line| line.starts_with(&still)).map(str::to_owned);
        assert!(line.is_some_and(|line| line.contains(words)), "{}", self.stdout());
    }

    /// Failed, for this reason, with these words in the complaint.
    pub fn assert_failed(&self, reason: &str, words: &str) {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(1), "{stderr}");
        let complaint = stderr.lines().rfind(|line| line.contains(&format!("{}: ", self.token)));
        let complaint = complaint.unwrap_or_else(|| panic!("no complaint: {stderr}"));
        assert!(complaint.contains(&format!("{}: {reason}: ", self.token)), "{complaint}");
        assert!(complaint.contains(words), "{complaint}");
    }

    /// Refused for good: nothing changes until a person acts.
    pub fn assert_refused(&self, words: &str) {
        self.assert_failed("TokenRequestRejected", words);
    }
}

/// Members of `over` win; objects merge, and null says nothing.
pub fn merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            let mut merged: Map<String, Value> = base;
            for (key, value) in over {
                let former = merged.remove(&key).unwrap_or(Value::Null);
                merged.insert(key, merge(former, value));
            }
            Value::Object(merged)
        }
        (base, Value::Null) => base,
        (_, over) => over,
    }
}
