//! A folder of manifests, a folder of targets and a simulator for one test.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Options, Simulator, System};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What one test has to itself.
pub struct Bench {
    pub sim: Simulator,
    folder: TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let sim = Simulator::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        Self { sim, folder }
    }

    pub fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Writes a manifest. `SIM` stands for the simulator's address.
    pub fn write(&self, file: &str, text: &str) {
        let text = text.replace("SIM", &self.sim.addr().to_string());
        fs::write(self.manifests().join(file), text).unwrap();
    }

    /// A provider, credentials with this secret, and a token of the generic document.
    pub fn write_oauth2(&self, name: &str, secret: &str) {
        self.write(
            "provider.yaml",
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: p, namespace: web}
spec: {preset: oauth2, variables: {tokenUrl: "http://SIM/oauth2/token"}, limits: {minInterval: 1s}}
"#,
        );
        self.write_credentials(secret);
        self.write(
            &format!("{name}.yaml"),
            &format!(
                r"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: {name}, namespace: web}}
spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}}}
"
            ),
        );
    }

    pub fn write_credentials(&self, secret: &str) {
        self.write(
            "credentials.yaml",
            &format!(
                r#"
apiVersion: v1
kind: Secret
metadata: {{name: c, namespace: web}}
stringData: {{client_id: "{CLIENT_ID}", client_secret: "{secret}"}}
"#
            ),
        );
    }

    pub fn write_good(&self, name: &str) {
        self.write_oauth2(name, CLIENT_SECRET);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("local").arg(self.manifests()).arg("--out").arg(self.out());
        command.args([
            "--allow-http",
            "--egress-allow-cidr",
            "127.0.0.0/8",
            "--log-level",
            "trace",
        ]);
        command.args(args);
        command
    }

    /// Runs `local --once`.
    pub async fn once(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.arg("--once");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Starts `local`.
    pub fn keep(&self) -> Keeper {
        let log = self.folder.path().join("log");
        let file = fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = self.command(&[]).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Keeper { child, log }
    }

    /// A key of a target; `None` where there is none.
    pub fn key(&self, target: &str, key: &str) -> Option<String> {
        fs::read_to_string(self.out().join("web").join(target).join(key)).ok()
    }

    /// The annotations of a target.
    pub fn annotations(&self, target: &str) -> Value {
        let text = fs::read(self.out().join("web").join(format!("{target}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Waits until `is` holds.
    pub async fn until(&self, what: &str, is: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is() {
            assert!(Instant::now() < deadline, "it never came to be that {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn requests(&self) -> usize {
        self.sim.requests_of(System::Oauth2).len()
    }
}

/// A running `tokenward local`. Dropped, it is killed.
pub struct Keeper {
    child: Child,
    log: PathBuf,
}

impl Keeper {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            println!("--- the log\n{}", log.get(log.len().saturating_sub(8000)..).unwrap_or(&log));
        }
    }
}

/// What a process printed.
pub fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
