//! A git repository behind a password, served as plain files.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bare repository with one commit. Its server ends with the process.
pub struct Repository {
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Repository {
    /// One that opens to this Authorization header only.
    pub fn open(authorization: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.git");
        git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"]);
        let tree = git(&path, &["hash-object", "-w", "-t", "tree", "--stdin"]);
        let author = ["-c", "user.name=shop", "-c", "user.email=shop@example.com"];
        let commit = git(&path, &[&author[..], &["commit-tree", "-m", "first", &tree]].concat());
        git(&path, &["update-ref", "refs/heads/main", &commit]);
        git(&path, &["update-server-info"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let authorization = authorization.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &path, &authorization);
            }
        });
        Self { address, folder }
    }

    /// Lets it hold one more file, which is no matter of git's.
    pub fn hold(&self, file: &str) {
        let file = self.folder.path().join("shop.git").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "").unwrap();
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// One request a connection.
fn answer(mut stream: TcpStream, path: &Path, authorization: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let head: Vec<String> =
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let expected = format!("authorization: {authorization}");
    let admitted = head.iter().any(|line| {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        format!("{}: {value}", name.to_lowercase()) == expected
    });
    let file = request.split([' ', '?']).nth(1).unwrap_or_default().trim_start_matches('/');
    let file: PathBuf = path.join(file);
    let (status, body) = match (admitted, std::fs::read(file)) {
        (false, _) => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"shop\"", Vec::new()),
        (true, Ok(body)) => ("200 OK", body),
        (true, Err(_)) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}
