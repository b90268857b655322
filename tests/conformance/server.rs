//! The authorization server, started once for the whole test binary.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::certificates::Authority;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How long the server may take to get ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// Through whom the tests look at tokens.
const ONLOOKER: &str = "onlooker";

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// The one server.
pub fn server() -> &'static Server {
    &SERVER
}

pub struct Server {
    /// Who signed the certificate of the https side, and whose client certificates it takes.
    pub authority: Authority,
    ready: Value,
    http: Client,
    /// Its standard input is held open as long as this process lives, and not longer.
    _process: Child,
}

/// One of the two listeners, each an issuer of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Http,
    Https,
}

impl Server {
    fn start() -> Self {
        let authority = Authority::new();
        let identity = authority.server();
        let mut process = Command::new("node")
            .arg(Path::new(ROOT).join("tests/conformance/server/server.mjs"))
            .arg(installed())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node starts");
        let tls = json!({"key": identity.key, "cert": identity.certificate, "ca": authority.pem});
        let stdin = process.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", json!({ "tls": tls })).unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        // It is read to the end whether anybody looks or not: a full pipe would stop the server.
        std::thread::spawn(move || {
            let lines = stderr.lines().map_while(Result::ok);
            lines.filter(|line| !is_advice(line)).for_each(|line| println!("server: {line}"));
        });
        let stdout = process.stdout.take().unwrap();
        let (said, hears) = mpsc::channel();
        std::thread::spawn(move || said.send(BufReader::new(stdout).lines().next()));
        let line = hears.recv_timeout(PATIENCE).expect("the server gets ready in time");
        let line = line.expect("the server does not end at once").unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        let http = http_client(&authority);
        Self { authority, ready, http, _process: process }
    }

    /// The address of a side, which is its issuer too.
    pub fn issuer(&self, side: Side) -> String {
        match side {
            Side::Http => format!("http://127.0.0.1:{}", self.ready["http"]),
            Side::Https => format!("https://127.0.0.1:{}", self.ready["https"]),
        }
    }

    /// A private key that the server made, by name and format.
    pub fn key(&self, name: &str, format: &str) -> &str {
        self.ready["keys"][name][format].as_str().unwrap_or_else(|| panic!("no {name} {format}"))
    }

    /// Asks the control side, see `server/control.mjs`; the error is what it did not like.
    pub async fn try_control(&self, side: Side, name: &str, body: &Value) -> Result<Value, String> {
        let url = self.url(side, &format!("test/{name}"));
        let (status, text) = self.post(&url, body.to_string(), None).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        match status {
            200 => Ok(answer),
            _ => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
        }
    }

    pub async fn control(&self, side: Side, name: &str, body: Value) -> Value {
        let answer = self.try_control(side, name, &body).await;
        answer.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What the server says of a token (RFC 7662).
    pub async fn introspect(&self, side: Side, token: &str) -> Value {
        let onlooker = json!({
            "client_id": ONLOOKER, "client_secret": ONLOOKER, "grant_types": [],
        });
        self.control(side, "client", onlooker).await;
        self.ask(&self.url(side, "token/introspection"), ONLOOKER, &[("token", token)]).await
    }

    /// Revokes a token (RFC 7009) as a client whose secret is its id.
    pub async fn revoke(&self, side: Side, client: &str, token: &str) {
        self.ask(&self.url(side, "token/revocation"), client, &[("token", token)]).await;
    }

    /// Posts a form as a client whose secret is its id; null where the answer is empty.
    pub async fn ask(&self, url: &str, client: &str, form: &[(&str, &str)]) -> Value {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let (status, text) = self.post(url, body, Some(client)).await;
        assert_eq!(status, 200, "{text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    fn url(&self, side: Side, path: &str) -> String {
        format!("{}/{path}", self.issuer(side))
    }

    async fn post(&self, url: &str, body: String, client: Option<&str>) -> (u16, String) {
        let mut request = self.http.post(url).body(body);
        if let Some(client) = client {
            let form = "application/x-www-form-urlencoded";
            request = request.header("content-type", form).basic_auth(client, Some(client));
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// No connection is kept: each test has a runtime of its own, and a connection ends with its own.
fn http_client(authority: &Authority) -> Client {
    let authority = Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    let builder = Client::builder().tls_certs_only([authority]).no_proxy();
    builder.pool_max_idle_per_host(0).build().unwrap()
}

/// Where oidc-provider is; it is installed the first time.
fn installed() -> String {
    let output = Command::new(Path::new(ROOT).join("hack/oidc-provider"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "hack/oidc-provider failed");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// oidc-provider's hints for those who run it in earnest.
fn is_advice(line: &str) -> bool {
    line.starts_with("oidc-provider NOTICE") || line.starts_with("oidc-provider WARNING")
}
