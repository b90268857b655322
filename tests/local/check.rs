//! `tokenward check --fetch`: what is wrong is named, and nothing secret is shown.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use provider_simulator::systems::oauth2;
use provider_simulator::{
    Behaviour, Fault, KeyKind, KeyPair, Options, Policy, RetryAfter, Simulator, System,
};
use tempfile::TempDir;

use crate::bench::text;
use crate::generated::part_is_current;
use crate::search::Needles;

const LOOPBACK: &[&str] = &["--egress-allow-cidr", "127.0.0.0/8"];
const OPEN: &[&str] = &["--allow-http", "--egress-allow-cidr", "127.0.0.0/8"];

/// A set-up of `examples/broken`, the provider that it meets, and what has to be said of it.
struct Broken {
    name: &'static str,
    provider: fn() -> Options,
    flags: &'static [&'static str],
    exit: i32,
    /// The cause, and the mend.
    says: &'static [&'static str],
}

impl Broken {
    const fn new(name: &'static str, says: &'static [&'static str]) -> Self {
        Self { name, provider: Options::default, flags: OPEN, exit: 1, says }
    }

    const fn meeting(self, provider: fn() -> Options) -> Self {
        Self { provider, ..self }
    }

    const fn with(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    const fn ending(self, exit: i32) -> Self {
        Self { exit, ..self }
    }
}

fn failing(fault: Fault) -> Options {
    Options::default().with(System::Oauth2, Behaviour::failing(fault))
}

fn moved() -> Options {
    let location = "https://login.example.com/token?code=of-the-redirect".to_owned();
    failing(Fault::Redirect { status: 302, location })
}

const BROKEN: &[Broken] = &[
    Broken::new(
        "wrong-secret",
        &["invalid_client", "mend       the client id or the secret is not"],
    ),
    Broken::new("newline", &["mend       store it without", "client_secret ends in a newline"]),
    Broken::new("unknown-client", &["mend       the provider does not know this client id"]),
    Broken::new("missing-key", &["has no key \"client_secret\"", "did you mean \"client_secert\""])
        .ending(2),
    Broken::new(
        "client-authentication",
        &["mend       the client proves itself in a way", "client_secret_basic"],
    ),
    Broken::new(
        "wrong-path",
        &["answer     HTTP 404", "mend       nothing is at http://SIM/oauth/token"],
    ),
    Broken::new("sign-in-page", &["<an HTML page", "answers with a page for people"])
        .meeting(|| failing(Fault::Html)),
    Broken::new("redirect", &["answer     HTTP 302", "it leads to login.example.com)"])
        .meeting(moved),
    Broken::new(
        "unknown-host",
        &[
            "login.reports.invalid: its name leads to no address (DNS)",
            "mend       check the host name",
        ],
    ),
    Broken::new(
        "nobody-listens",
        &["127.0.0.1: connection refused", "mend       nothing listens at that host and port"],
    ),
    Broken::new(
        "unknown-ca",
        &["UnknownIssuer", "mend       the provider's certificate", "caBundle"],
    )
    .meeting(Options::tls),
    Broken::new("plain-http", &["EgressDenied", "mend       begin request.url with https://"])
        .with(LOOPBACK),
    Broken::new(
        "private-address",
        &["a loopback address", "mend       check the host", "--egress-allow-cidr"],
    )
    .with(&["--allow-http"]),
    Broken::new(
        "token-elsewhere",
        &["holds no token", "mend       set response.token to [/access_token]"],
    ),
    Broken::new(
        "expiry-elsewhere",
        &[
            "tells no expiry",
            "mend       set response.expiry to {kind: seconds, at: [/expires_in]}",
        ],
    ),
    Broken::new("wrong-encoding", &["invalid_request", "mend       the body is not written"]),
    Broken::new(
        "scope",
        &["scope=reports.delete", "mend       ask for scopes that this client was granted"],
    )
    .meeting(|| failing(Fault::error(400, "invalid_scope"))),
    Broken::new("grant", &["mend       let the client use the grant client_credentials"])
        .meeting(|| failing(Fault::error(400, "unauthorized_client"))),
    Broken::new("throttled", &["retry-after: 120", "try again after 2m", "mend       wait"])
        .meeting(|| failing(Fault::throttled(RetryAfter::Seconds(120)))),
    Broken::new(
        "wrong-audience",
        &["mend       set assertion.audience", "(sent: \"https://login.example.com/\")"],
    ),
    Broken::new(
        "clock",
        &["by the provider's clock", "warning    set this machine's clock: it is "],
    )
    .meeting(|| Options { clock_offset: chrono::TimeDelta::seconds(298), ..Options::default() })
    .ending(0),
    Broken::new("wrong-key-id", &["mend       the provider has no key of this `kid`"]),
    Broken::new("other-key", &["mend       the provider holds another public key"]),
    Broken::new(
        "other-certificate",
        &["certificate of another key than the one that signs", "mend       put the certificate"],
    ),
    Broken::new(
        "refresh-token",
        &["not tried  asking uses up the refresh token", "--spend-refresh-token"],
    ),
];

/// A provider, and copies of manifests that lead to it.
struct Stage {
    sim: Simulator,
    folder: TempDir,
    secrets: Vec<String>,
}

impl Stage {
    async fn new(options: Options) -> Self {
        let sim = Simulator::start(options).await.unwrap();
        Self { sim, folder: tempfile::tempdir().unwrap(), secrets: Vec::new() }
    }

    /// Copies an example, with the simulator's address and keys in the place of what cannot be
    /// written down.
    fn copy(&mut self, example: &Path) -> PathBuf {
        let mut manifest = fs::read_to_string(example).unwrap();
        manifest = manifest.replace("127.0.0.1:8085", &self.sim.addr().to_string());
        if manifest.contains("\"PEM\"") {
            let (own, of_provider) = &*PAIRS;
            // The provider knows the key by another id, or another key.
            let keys = match manifest.contains("key_id") {
                true => own.jwks("key-of-this-year").unwrap(),
                false => of_provider.keys(),
            };
            self.sim.set_policy(Policy::default().with_keys(oauth2::CLIENT_ID, keys));
            let pem = own.private_pem();
            self.secrets.extend(pem.lines().filter(|line| line.len() > 40).map(str::to_owned));
            manifest = manifest.replace("\"PEM\"", &serde_json::to_string(pem).unwrap());
        }
        let certificate = serde_json::to_string(CERTIFICATE).unwrap();
        manifest = manifest.replace("\"CERTIFICATE\"", &certificate);
        let copy = self.folder.path().join("manifest.yaml");
        fs::write(&copy, &manifest).unwrap();
        self.secrets.extend(credentials(&manifest));
        copy
    }

    async fn check(&self, manifest: &Path, flags: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("check").arg(manifest).arg("--fetch").args(flags);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (out, err) = text(&output);
        assert_eq!(self.needles().find(&format!("{out}{err}")), Vec::<String>::new());
        output
    }

    /// The credentials of the manifests, and what came and went over the wire.
    fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        for secret in &self.secrets {
            needles.add("a credential", secret);
        }
        for request in self.sim.requests() {
            if let Some(token) = &request.token {
                needles.add("a token", token);
            }
            if let Some(header) = request.header("authorization") {
                needles.add("a header", header.split_once(' ').unwrap().1);
            }
            let pairs = url::form_urlencoded::parse(request.body.as_bytes());
            for (_, assertion) in pairs.filter(|(name, _)| name == "client_assertion") {
                needles.add("an assertion", &assertion);
            }
        }
        needles
    }
}

/// The values of every Secret that are long enough to be looked for; the certificate is none.
fn credentials(manifest: &str) -> Vec<String> {
    let documents = manifest.split("---\n").filter(|text| text.contains("kind: Secret"));
    let mut values = Vec::new();
    for document in documents {
        let secret: serde_json::Value = serde_yaml::from_str(document).unwrap();
        let data = secret["stringData"].as_object().unwrap().iter();
        let private = data.filter(|(key, _)| *key != "tls.crt" && *key != "private_key");
        values.extend(private.map(|(_, value)| value.as_str().unwrap().to_owned()));
    }
    values.retain(|value| value.len() >= 12);
    values
}

/// The client's own, and another that the provider may hold. To make one takes long.
static PAIRS: LazyLock<(KeyPair, KeyPair)> =
    LazyLock::new(|| [(); 2].map(|()| KeyPair::generate(KeyKind::Rsa).unwrap()).into());

/// Of a key that nobody has any more.
const CERTIFICATE: &str = include_str!("../data/certificate.pem");

fn example(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("examples/broken").join(format!("{name}.yaml"))
}

// The simulator is to answer in time, whatever the test itself works on.
#[tokio::test(flavor = "multi_thread")]
async fn each_broken_set_up_is_told_by_its_true_cause() {
    LazyLock::force(&PAIRS);
    let wrong = futures::future::join_all(BROKEN.iter().map(misjudged)).await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as it should be about what is said of a set-up.
async fn misjudged(broken: &Broken) -> Option<String> {
    let mut stage = Stage::new((broken.provider)()).await;
    let manifest = stage.copy(&example(broken.name));
    let output = stage.check(&manifest, broken.flags).await;
    let (out, err) = text(&output);
    let all = format!("{out}{err}");
    let address = stage.sim.addr().to_string();
    let is_missing = |text: &&&str| !all.contains(&text.replace("SIM", &address));
    let missing: Vec<_> = broken.says.iter().filter(is_missing).collect();
    let code = output.status.code();
    let right = missing.is_empty() && code == Some(broken.exit);
    (!right).then(|| format!("{}: {code:?}, {missing:?} missing in\n{all}", broken.name))
}

#[test]
fn each_broken_set_up_has_its_test_and_says_what_it_is_about() {
    let files = fs::read_dir(example("x").parent().unwrap()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let files: BTreeSet<PathBuf> = files.filter(|file| !file.ends_with("README.md")).collect();
    let tested: BTreeSet<PathBuf> = BROKEN.iter().map(|broken| example(broken.name)).collect();
    assert_eq!(files, tested);
    for file in files {
        assert!(fs::read_to_string(&file).unwrap().starts_with("# "), "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_was_used_before_is_told_where_it_is_spent() {
    let mut stage = Stage::new(Options::default()).await;
    let manifest = stage.copy(&example("refresh-token"));
    stage.check(&manifest, OPEN).await;
    assert_eq!(stage.sim.requests().len(), 0, "it was spent unasked");
    let flags = [OPEN, &["--spend-refresh-token"]].concat();
    let output = stage.check(&manifest, &flags).await;
    let (out, _) = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("mend       the refresh token was used, revoked or has expired"), "{out}");
    // A good one works, and that its successor is lost is said.
    let good = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, good.replace("used-up-in-the-year-2025", oauth2::REFRESH_TOKEN)).unwrap();
    stage.secrets.push(oauth2::REFRESH_TOKEN.to_owned());
    let output = stage.check(&manifest, &flags).await;
    let (out, _) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("warning    the provider handed out a new refresh token"), "{out}");
}

/// The sample of the page is what is printed, but for the port and the time.
#[tokio::test(flavor = "multi_thread")]
async fn the_check_page_is_current() {
    const FENCE: (&str, &str) = ("```text\n", "```\n");
    let mut stage = Stage::new(Options::default()).await;
    let manifest = stage.copy(&example("newline"));
    let (out, _) = text(&stage.check(&manifest, OPEN).await);
    let printed: String = out
        .replace(&stage.sim.addr().to_string(), "127.0.0.1:8085")
        .lines()
        .map(|line| match line.split_once("date: ") {
            Some((margin, _)) => format!("{margin}date: Sat, 21 Nov 2026 20:24:00 GMT\n"),
            None => format!("{line}\n"),
        })
        .collect();
    part_is_current("docs/check.md", FENCE, &printed);
}

/// A token that is made from another is asked for with that one's token, in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_from_the_one_that_was_just_had() {
    let mut stage = Stage::new(Options::default()).await;
    let manifest = stage.folder.path().join("chain.yaml");
    fs::write(&manifest, CHAIN.replace("127.0.0.1:8085", &stage.sim.addr().to_string())).unwrap();
    stage.secrets.push(oauth2::CLIENT_SECRET.to_owned());
    let output = stage.check(&manifest, OPEN).await;
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let first = out.find("OAuthClientToken web/parent").unwrap();
    assert!(first < out.find("OAuthClientToken web/child").unwrap(), "{out}");
    // Each is told when it would be refreshed, and why.
    assert!(out.contains("30m before its end (spec.refresh.lead)"), "{out}");
    assert!(out.contains("gives another one (limits.sameTokenUntil)"), "{out}");
    let requests = stage.sim.requests_of(System::Oauth2);
    let exchanged = url::form_urlencoded::parse(requests[1].body.as_bytes());
    let subject =
        exchanged.filter(|(name, _)| name == "subject_token").map(|(_, v)| v.into_owned());
    assert_eq!(subject.collect::<Vec<_>>(), [requests[0].token.clone().unwrap()]);

    // Where the parent fails, the child is not tried.
    stage.sim.set(System::Oauth2, Behaviour::failing(Fault::internal_error()));
    let output = stage.check(&manifest, &[OPEN, &["--token", "web/child"]].concat()).await;
    let (out, _) = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out.contains("not tried  it is made from the token of web/parent, which is not to be had"),
        "{out}"
    );
    assert_eq!(stage.sim.requests_of(System::Oauth2).len(), 3);
}

const CHAIN: &str = r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: login, namespace: web}
spec: {preset: oauth2, variables: {tokenUrl: "http://127.0.0.1:8085/oauth2/token"}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: exchange, namespace: web}
spec:
  grant: token_exchange
  request:
    url: "http://127.0.0.1:8085/oauth2/token"
    parameters: {subject_token: "{{ tokens.subject }}"}
  limits: {sameTokenUntil: 5m}
---
apiVersion: v1
kind: Secret
metadata: {name: c, namespace: web}
stringData: {client_id: "svc:reports", client_secret: "hJ5=fO/3%41&zC:pU8+iE1oXaBlKw7Gy"}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: parent, namespace: web}
spec: {providerRef: {name: login}, credentialsSecretRef: {name: c}, refresh: {lead: 30m}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: child, namespace: web}
spec: {providerRef: {name: exchange}, tokenRefs: {subject: {name: parent}}}
"#;

/// With --token, an error of another object is told and does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_other_objects_do_not_matter_to_one_token() {
    let mut stage = Stage::new(Options::default()).await;
    let manifest = stage.folder.path().join("two.yaml");
    let broken = "---\napiVersion: tokenward.dev/v1alpha1\nkind: OAuthProvider\nmetadata: {name: x, \
                  namespace: web}\nspec: {request: {method: PUT}}\n";
    let text_of =
        format!("{CHAIN}{broken}").replace("127.0.0.1:8085", &stage.sim.addr().to_string());
    fs::write(&manifest, text_of).unwrap();
    stage.secrets.push(oauth2::CLIENT_SECRET.to_owned());
    assert_eq!(stage.check(&manifest, OPEN).await.status.code(), Some(2));
    assert_eq!(stage.sim.requests().len(), 0);
    let output = stage.check(&manifest, &[OPEN, &["--token", "web/parent"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert!(text(&output).1.contains("spec.request.method"), "{:?}", text(&output));
    assert_eq!(stage.sim.requests().len(), 1);
    let output = stage.check(&manifest, &[OPEN, &["--token", "web/none"]].concat()).await;
    assert_eq!(output.status.code(), Some(2));
}
