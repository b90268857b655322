//! A client that sends exactly the bytes it is told to and does nothing of its own.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use provider_simulator::systems::{mediahound, oauth2, optimizely, oracle, sitecore};
use provider_simulator::{Simulator, System};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";
/// Longer than anything takes unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn and(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| *given != name);
        self
    }

    pub(crate) fn set(self, name: &'static str, value: impl Into<String>) -> Self {
        self.without(name).and(name, value)
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// The same, one part of the body replaced.
    pub(crate) fn swap(mut self, from: &str, to: &str) -> Self {
        assert!(self.body.contains(from), "{from} is not in {}", self.body);
        self.body = self.body.replacen(from, to, 1);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let headers: String =
            self.headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let (method, path, length) = (self.method, &self.path, self.body.len());
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{headers}\
             content-length: {length}\r\n\r\n{}",
            self.body
        );
        text.into_bytes()
    }

    /// Sends the request and leaves the answer to be read.
    pub(crate) async fn open(&self, sim: &Simulator) -> TcpStream {
        let mut stream = TcpStream::connect(sim.addr()).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        stream
    }

    /// Sends the request and reads until the connection ends.
    pub(crate) async fn send(&self, sim: &Simulator) -> Got {
        let mut stream = self.open(sim).await;
        let mut bytes = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        Got::parse(bytes)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    /// 0 when the connection ended without an answer.
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    fn parse(bytes: Vec<u8>) -> Self {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Self { status: 0, head: String::new(), body: bytes };
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(given, value)| given.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The token, wherever the system puts it.
    pub(crate) fn token(&self) -> String {
        let body = self.json();
        body["access_token"].as_str().or(body["token"].as_str()).unwrap().to_owned()
    }
}

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", name.replace('+', "%2B"), encode(value)))
        .collect();
    pairs.join("&")
}

/// The value of an Authorization header, id and secret bare.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

/// A request that the system accepts.
pub(crate) fn right(system: System) -> Ask {
    let ask = Ask::new("POST", system.path());
    let grant = ("grant_type", "client_credentials");
    match system {
        System::Sitecore => ask.and("content-type", FORM).body(form(&[
            grant,
            ("client_id", sitecore::CLIENT_ID),
            ("client_secret", sitecore::CLIENT_SECRET),
            ("audience", sitecore::AUDIENCE),
        ])),
        System::Mediahound => ask
            .and("content-type", FORM)
            .and("accept", JSON)
            .and("authorization", basic(mediahound::CLIENT_ID, mediahound::CLIENT_SECRET))
            .body(form(&[
                grant,
                ("client_id", mediahound::CLIENT_ID),
                ("client_secret", mediahound::CLIENT_SECRET),
            ])),
        System::Optimizely => ask.and("content-type", JSON).body(
            serde_json::json!({
                "grant_type": "client_credentials",
                "client_id": optimizely::CLIENT_ID,
                "client_secret": optimizely::CLIENT_SECRET,
            })
            .to_string(),
        ),
        System::Oracle => ask
            .and("content-type", JSON)
            .and("x-requested-with", "XMLHttpRequest")
            .body(format!(r#"{{"channelSecret":"{}"}}"#, oracle::CHANNEL_SECRET)),
        System::Oauth2 => ask.and("content-type", FORM).body(form(&[
            grant,
            ("client_id", oauth2::CLIENT_ID),
            ("client_secret", oauth2::CLIENT_SECRET),
        ])),
    }
}

/// Optimizely's other way.
pub(crate) fn optimizely_form() -> Ask {
    Ask::new("POST", "/_cms/preview2/oauth/token")
        .and("content-type", FORM)
        .and("authorization", basic(optimizely::CLIENT_ID, optimizely::CLIENT_SECRET))
        .body("grant_type=client_credentials")
}

/// The header way of RFC 6749 §2.3.1.
pub(crate) fn oauth2_basic() -> Ask {
    Ask::new("POST", "/oauth2/token")
        .and("content-type", FORM)
        .and("authorization", basic(&encode(oauth2::CLIENT_ID), &encode(oauth2::CLIENT_SECRET)))
        .body("grant_type=client_credentials")
}
