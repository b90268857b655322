//! An operator process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Arguments for an admin port.
pub const ADMIN: [&str; 2] = ["--admin-address", "127.0.0.1:0"];

/// The operator under test: the one that was built with the tests, unless `TOKENWARD_TEST_PROGRAM`
/// names another.
pub fn program() -> PathBuf {
    let named = std::env::var_os("TOKENWARD_TEST_PROGRAM");
    named.map_or_else(|| env!("CARGO_BIN_EXE_tokenward").into(), PathBuf::from)
}

/// A running operator. Dropped, it is killed.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts the operator under a ServiceAccount's kubeconfig, with exactly these arguments.
    pub fn start(kubeconfig: &Path, log: PathBuf, args: &[String]) -> Self {
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(program())
            .arg("controller")
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Everything that it and those before it at the same place have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What its admin port answers, where it was started with [`ADMIN`].
    pub fn admin(&self, path: &str) -> (u16, String) {
        let log = self.log();
        let line = log.rsplit("probes and metrics are served").next().unwrap();
        // After the message in a line of text, and in JSON.
        let port = line.split("127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let url = format!("http://127.0.0.1:{port}{path}");
        let args = ["--silent", "--show-error", "--write-out", "\n%{http_code}", &url];
        let output = Command::new("curl").args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Waits until its metrics have this line.
    pub async fn wait_for_figure(&self, line: &str) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            let (_, figures) = self.admin("/metrics");
            if figures.lines().any(|shown| shown == line) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "no figure ever was {line}:\n{figures}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until its gates are told like this.
    pub async fn wait_for_gates(&self, (status, gates): (u16, &str)) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            let told = self.admin("/readyz");
            if told.0 == status && told.1.contains(gates) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "never {gates:?}, but {told:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }

    /// Waits until its log says something.
    pub async fn wait_for_log(&self, text: &str) {
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while !self.log().contains(text) {
            assert!(
                std::time::Instant::now() < deadline,
                "the log never said {text:?}:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the operator's log\n{}", self.log());
        }
    }
}
