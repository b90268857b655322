//! What the API server tells of its requests, in the order in which they were over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// The operator's requests so far.
pub struct Audit {
    path: PathBuf,
    read: u64,
    /// All of them that were read.
    pub requests: Vec<Request>,
}

/// A request of the operator's that was answered; of a watch, that began to be.
#[derive(Clone, Debug)]
pub struct Request {
    /// As RBAC names it.
    pub verb: String,
    /// The resource, with its subresource.
    pub resource: String,
    /// The name of the object, where it is about one.
    pub name: String,
    /// Whether it was granted.
    pub granted: bool,
    /// When it came.
    pub received: DateTime<Utc>,
    /// When it was answered.
    pub answered: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    request_received_timestamp: DateTime<Utc>,
    stage_timestamp: DateTime<Utc>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

impl Audit {
    /// From now on.
    pub fn follow(path: &Path) -> Self {
        let read = std::fs::metadata(path).map_or(0, |file| file.len());
        Self { path: path.to_owned(), read, requests: Vec::new() }
    }

    /// Reads what was told since.
    pub fn read(&mut self) {
        let wanted = "the control plane tells what it is asked, with TOKENWARD_CLUSTER_AUDIT=1";
        let mut file = File::open(&self.path).expect(wanted);
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut file = BufReader::new(file);
        let mut text = String::new();
        // A line that is not whole yet is read the next time.
        while file.read_line(&mut text).is_ok_and(|_| text.ends_with('\n')) {
            self.read += text.len() as u64;
            let line: Line = serde_json::from_str(&text).unwrap();
            self.requests.extend(line.request());
            text.clear();
        }
    }

    /// Those that were answered in this time.
    pub fn between(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| (from..to).contains(&request.answered))
    }
}

/// How many there are of each verb and resource.
pub fn kinds<'a>(requests: impl Iterator<Item = &'a Request>) -> BTreeMap<String, u32> {
    let mut kinds = BTreeMap::new();
    for Request { verb, resource, .. } in requests {
        *kinds.entry(format!("{verb}-{resource}")).or_default() += 1;
    }
    kinds
}

impl Line {
    fn request(self) -> Option<Request> {
        let of_interest = match self.verb.as_str() {
            "watch" => "ResponseStarted",
            _ => "ResponseComplete",
        };
        let operator = self.user.username.ends_with(":tokenward-system:tokenward");
        if !operator || self.stage != of_interest {
            return None;
        }
        let Object { resource, subresource, name } = self.object_ref;
        let resource = match (resource.as_str(), subresource.as_str()) {
            ("", _) => "other".to_owned(),
            (_, "") => resource,
            (_, part) => format!("{resource}/{part}"),
        };
        Some(Request {
            verb: self.verb,
            resource,
            name,
            granted: self.response_status.code < 300,
            received: self.request_received_timestamp,
            answered: self.stage_timestamp,
        })
    }
}

impl Request {
    /// Whether it wrote a target.
    pub fn writes_target(&self) -> bool {
        self.granted
            && self.resource == "secrets"
            && matches!(self.verb.as_str(), "create" | "patch")
    }

    /// Whether it wrote a token's status.
    pub fn writes_status(&self) -> bool {
        self.granted && self.resource == "oauthclienttokens/status" && self.verb == "patch"
    }
}
