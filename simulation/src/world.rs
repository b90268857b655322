//! The world: its time, its API server, its providers, and who is told of what happens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::api_server::{Ask, Place, Reply, Store};
use crate::judge::Judge;
use crate::plan::Plan;
use crate::process::Process;
use crate::provider::{Provider, Saying};
use crate::sabotage::Sabotage;

/// When it begins.
const BEGINNING: i64 = 1_800_000_000;
/// What is shown of what happened before a rule was broken.
const REMEMBERED: usize = 60;

/// A world.
#[derive(Debug)]
pub struct World {
    /// What was certain from the beginning.
    pub plan: Arc<Plan>,
    /// Where requests to all providers wait, where they are made to.
    pub line: Semaphore,
    /// Something was deleted: what was made for it goes, too.
    pub deleted: Notify,
    /// Something was written: the next token that ends may be another one.
    pub written: Notify,
    began: Instant,
    api: Mutex<Store>,
    providers: Mutex<Vec<Provider>>,
    judge: Mutex<Judge>,
    trace: Mutex<Trace>,
}

/// What happened, as one number, and the last of it in words.
#[derive(Debug, Default)]
pub struct Trace {
    /// Differs where anything did.
    pub hash: u64,
    /// Steps.
    pub steps: u64,
    /// The last steps.
    pub last: VecDeque<String>,
    aloud: bool,
}

impl World {
    /// A world as it is planned.
    pub fn new(plan: Arc<Plan>) -> Arc<Self> {
        let mut store = Store::default();
        store.now = rfc3339(instant(Duration::ZERO));
        let mut providers = plan.providers.clone();
        for (at, object) in plan.objects() {
            let collection = Place { name: String::new(), ..at.clone() };
            let mut body = object;
            body["metadata"]["name"] = serde_json::json!(at.name);
            let ask = Ask {
                method: Method::POST,
                at: collection,
                subresource: None,
                query: BTreeMap::new(),
                content_type: String::new(),
                metadata_only: false,
                body,
            };
            let (made, _) = store.handle(&ask);
            assert_eq!(made.status, 201, "{:?}", made.body);
        }
        for token in 0..plan.size.tokens {
            let first = crate::plan::credentials(token, 0);
            let refresh = first["refresh_token"].as_str().expect("a text");
            providers[plan.provider_of(token)].consent(&format!("c-{token}"), refresh);
        }
        let aloud = std::env::var_os("TOKENWARD_TRACE").is_some();
        Arc::new(Self {
            line: Semaphore::new(4),
            deleted: Notify::new(),
            written: Notify::new(),
            began: Instant::now(),
            api: Mutex::new(store),
            providers: Mutex::new(providers),
            judge: Mutex::new(Judge::new(Arc::clone(&plan))),
            trace: Mutex::new(Trace { aloud, ..Trace::default() }),
            plan,
        })
    }

    /// Since it began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A time of it, by a clock that is right.
    pub fn utc(&self, at: Duration) -> DateTime<Utc> {
        instant(at)
    }

    /// Somebody asks the API server: a process, or somebody else.
    pub fn ask(&self, ask: &Ask, process: Option<&Process>) -> Reply {
        let now = self.now();
        let mut api = self.api.lock().expect("no panic");
        if ask.is_write() {
            api.now = rfc3339(instant(now));
        }
        let (mut reply, written) = match self.plan.sabotage {
            Some(Sabotage::NothingKept) => api.handle(&crate::sabotage::emptied(ask)),
            _ => api.handle(ask),
        };
        drop(api);
        let who =
            process.map_or_else(|| "somebody".to_owned(), |process| process.number.to_string());
        if ask.is_write() || reply.status >= 300 {
            self.note(&format!("{who} {}: {}", ask.in_short(), reply.status));
        }
        if let Some(written) = written {
            if written.after.is_none() {
                self.deleted.notify_one();
            }
            self.judge(|judge, now| judge.wrote(process, &written, now));
            self.written.notify_one();
        }
        if self.plan.sabotage == Some(Sabotage::NothingForeign) && process.is_some() {
            crate::sabotage::disguise(Arc::make_mut(&mut reply.body));
        }
        reply
    }

    /// A watch.
    pub fn watch(&self, at: &Place, since: u64, metadata_only: bool) -> UnboundedReceiver<Vec<u8>> {
        self.api.lock().expect("no panic").history.watch(at, since, metadata_only)
    }

    /// An object of the API server.
    pub fn get(&self, at: &Place) -> Option<Arc<serde_json::Value>> {
        self.api.lock().expect("no panic").get(at).cloned()
    }

    /// Those who watch are told how far they have got.
    pub fn bookmark(&self) {
        self.api.lock().expect("no panic").history.bookmark();
    }

    /// Those who watch have to begin anew.
    pub fn compact(&self) {
        self.api.lock().expect("no panic").history.compact();
    }

    /// Events do not stay for ever.
    pub fn forget_events(&self) {
        self.api.lock().expect("no panic").forget_events();
    }

    /// What was made for owners that are gone goes.
    pub fn collect_garbage(&self) {
        let mut api = self.api.lock().expect("no panic");
        for at in api.orphans() {
            self.note(&format!("garbage: {} {}/{}", at.resource, at.namespace, at.name));
            api.put(&at, None);
        }
    }

    /// A provider is asked.
    pub fn provide(&self, index: usize, form: &BTreeMap<String, String>) -> Saying {
        self.providers.lock().expect("no panic")[index].answer(form, self.now())
    }

    /// A person consents.
    pub fn consent(&self, token: usize, refresh_token: &str) {
        let provider = self.plan.provider_of(token);
        let client = format!("c-{token}");
        self.providers.lock().expect("no panic")[provider].consent(&client, refresh_token);
        self.judge(|judge, now| judge.consented(&client, now));
    }

    /// Something happens that lets the next request come sooner.
    pub fn urgent(&self, token: usize) {
        self.judge(|judge, now| judge.urgent(&format!("c-{token}"), now));
    }

    /// A target is somebody else's, or not any more.
    pub fn foreign(&self, token: usize, is: bool) {
        self.judge(|judge, _| judge.foreign(&format!("c-{token}"), is));
    }

    /// Whether a target is somebody else's.
    pub fn is_foreign(&self, token: usize) -> bool {
        self.judge(|judge, _| judge.is_foreign(&format!("c-{token}")))
    }

    /// Tells the judge.
    pub fn judge<T>(&self, tell: impl FnOnce(&mut Judge, Duration) -> T) -> T {
        let now = self.now();
        let mut judge = self.judge.lock().expect("no panic");
        let before = judge.verdict.violations.len();
        let told = tell(&mut judge, now);
        if before == 0 && !judge.verdict.violations.is_empty() {
            let trace = self.trace.lock().expect("no panic");
            judge.verdict.before = trace.last.iter().cloned().collect();
        }
        told
    }

    /// Something happened.
    pub fn note(&self, what: &str) {
        let now = self.now();
        let mut trace = self.trace.lock().expect("no panic");
        let line = format!("{:>12.3} {what}", now.as_secs_f64());
        if trace.aloud {
            eprintln!("{line}");
        }
        trace.steps += 1;
        trace.hash = line.bytes().fold(trace.hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if trace.last.len() == REMEMBERED {
            trace.last.pop_front();
        }
        trace.last.push_back(line);
    }

    /// What happened, as one number, and in how many steps.
    pub fn trace(&self) -> (u64, u64) {
        let trace = self.trace.lock().expect("no panic");
        (trace.hash, trace.steps)
    }
}

fn instant(at: Duration) -> DateTime<Utc> {
    let beginning = DateTime::from_timestamp(BEGINNING, 0).expect("a time");
    beginning + at
}

/// Since the world began, by the time of an annotation.
pub fn since_beginning(time: DateTime<Utc>) -> Duration {
    (time - instant(Duration::ZERO)).to_std().unwrap_or_default()
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
