//! What must never happen, checked at every step: each request for a token, each answer, each
//! write, each end of a token.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokenward::api::annotations::{INTENT, REFRESH_AT, parse_time};

use crate::api_server::{Written, value};
use crate::plan::Plan;
use crate::process::Process;
use crate::provider::{Kind, Meant};
use crate::world::since_beginning;

/// From reading what a request is made from until it is sent: what a person changes meanwhile is not
/// in it, and is acted on by the next one.
const PREPARING: Duration = Duration::from_secs(5);
/// Timers are this coarse.
const TICK: Duration = Duration::from_millis(10);
/// How late a refresh may be whose provider is well, whatever happens to others.
const LATE: Duration = Duration::from_secs(2);
/// Whoever waits for an answer of the API server that never comes waits this long.
const API_PATIENCE: Duration = Duration::from_secs(35);
/// Whoever failed at the API server tries again after this at the latest.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// So long a note holds of a process that crashed, that it is about to use a refresh token up; by
/// clocks that differ.
const NOTE: Duration = Duration::from_secs(45 + 8);
/// What is overdue when a process starts is spread over a minute.
const SPREAD: Duration = Duration::from_secs(62);

/// What a budget is for.
const BUDGET_WINDOW: Duration = Duration::from_hours(1);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Rules that were broken.
    pub violations: Vec<String>,
    /// What happened before the first of them.
    pub before: Vec<String>,
    /// Requests for tokens.
    pub asked: u64,
    /// Those that were held against the floor.
    pub floors: u64,
    /// Ends of tokens.
    pub ends: u64,
    /// Those at which no expired token may have been there.
    pub judged_ends: u64,
    /// At which one was, and had a right to be.
    pub excused_ends: u64,
    /// How late refreshes were whose provider was well, in milliseconds.
    pub lateness: Vec<u32>,
    /// Refresh tokens that were lost in the window that is written down.
    pub lost_in_window: u64,
    /// Refresh tokens that were lost while two processes worked.
    pub lost_to_two: u64,
    /// Requests that were held against a budget.
    pub budgeted: u64,
    /// How often one was used up.
    pub used_up: u64,
    /// Secrets that were written.
    pub writes: u64,
    /// Targets that became somebody else's.
    pub taken_over: u64,
}

/// Holds what happens against the rules.
#[derive(Debug)]
pub struct Judge {
    /// What was found.
    pub verdict: Verdict,
    plan: Arc<Plan>,
    accounts: BTreeMap<String, Account>,
    targets: BTreeMap<(String, String), String>,
    ends: BinaryHeap<Reverse<(Duration, String)>>,
    living: Vec<u32>,
    /// Since when exactly one process works.
    alone_since: Duration,
    lost: Vec<usize>,
}

/// What is known of a token.
#[derive(Debug, Default)]
struct Account {
    token: usize,
    last: Option<Asked>,
    urgent: Option<Duration>,
    /// When requests came to its provider, where these are counted.
    arrivals: Vec<Duration>,
    foreign: bool,
    /// The last tokens and their ends.
    issued: Vec<(String, Duration)>,
    written: Option<Shown>,
    family: Family,
    /// Since when which process uses the refresh token up.
    noted: Option<(u32, Duration)>,
    /// When people consented anew.
    consents: Vec<Duration>,
    /// Whether the refresh token is lost: nothing comes of it before a person consents.
    lost: bool,
}

/// A request.
#[derive(Debug)]
struct Asked {
    at: Duration,
    process: u32,
    outcome: Outcome,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Pending,
    Failed,
    Silence(Duration),
    Token { life: Duration, written: bool },
}

/// What a target shows.
#[derive(Debug)]
struct Shown {
    at: Duration,
    due: Duration,
    process: Option<u32>,
}

/// The last refresh token of a grant.
#[derive(Debug, Default)]
struct Family {
    refresh: String,
    process: u32,
    heard: bool,
    stored: bool,
    alone: bool,
}

impl Judge {
    /// One that has seen nothing yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        let mut accounts = BTreeMap::new();
        let mut targets = BTreeMap::new();
        for token in 0..plan.size.tokens {
            let (client, target) = (format!("c-{token}"), Plan::target(token));
            targets.insert((target.namespace, target.name), client.clone());
            accounts.insert(client, Account { token, ..Account::default() });
        }
        Self {
            verdict: Verdict::default(),
            plan,
            accounts,
            targets,
            ends: BinaryHeap::new(),
            living: Vec::new(),
            alone_since: Duration::MAX,
            lost: Vec::new(),
        }
    }

    fn broken(&mut self, now: Duration, rule: &str, how: &str) {
        let violation = format!("{rule}: at {:.3} s {how}", now.as_secs_f64());
        self.verdict.violations.push(violation);
    }

    /// A process begins or ends.
    pub fn lives(&mut self, process: u32, lives: bool, now: Duration) {
        self.living.retain(|living| *living != process);
        if lives {
            self.living.push(process);
        }
        self.alone_since = if self.living.len() == 1 { now } else { Duration::MAX };
    }

    fn alone_since(&self, from: Duration) -> bool {
        self.alone_since <= from
    }

    /// A process asks a provider.
    pub fn asked(&mut self, process: &Process, client: &str, now: Duration) {
        self.verdict.asked += 1;
        self.check_floor(process, client, now);
        self.check_lateness(process, client, now);
        if let Some(account) = self.accounts.get_mut(client) {
            account.last =
                Some(Asked { at: now, process: process.number, outcome: Outcome::Pending });
        }
    }

    /// Never two requests inside the floor.
    fn check_floor(&mut self, process: &Process, client: &str, now: Duration) {
        let Some(account) = self.accounts.get(client) else { return };
        let Some(last) = &account.last else { return };
        let restarted = last.process != process.number;
        // Two at once know nothing of each other's, even when one of them is gone by now.
        let at_once = !self.alone_since(last.at) && self.living.len() > 1;
        if restarted && (at_once || process.started <= last.at) {
            return;
        }
        let known = self.plan.api.calm(last.at.saturating_sub(API_PATIENCE), now);
        // What was written, and said to have failed, looks as if somebody else had damaged the
        // target, and so does what another process writes: that is mended as soon as a person's
        // request is acted on.
        let damaged = !known || !self.alone_since(last.at);
        let urgent = damaged || account.urgent.is_some_and(|at| at + PREPARING >= last.at);
        let mut rest = match &last.outcome {
            // Nobody else knows of what one process asked and did not write down.
            Outcome::Pending
            | Outcome::Failed
            | Outcome::Silence(_)
            | Outcome::Token { written: false, .. }
                if restarted =>
            {
                return;
            }
            Outcome::Pending => Duration::MAX,
            Outcome::Failed => Duration::from_secs(5),
            Outcome::Silence(wait) => *wait,
            Outcome::Token { life, written } => match *written && known {
                true => floor(*life),
                false => Duration::from_secs(5),
            },
        };
        if urgent && !matches!(last.outcome, Outcome::Pending | Outcome::Silence(_)) {
            rest = rest.min(Duration::from_secs(3));
        }
        // Annotations and status have whole seconds.
        let slack = if restarted { Duration::from_secs(1) } else { TICK };
        let passed = now - last.at;
        self.verdict.floors += 1;
        if passed + slack < rest {
            let how = format!("{client} is asked for after {passed:?} instead of {rest:?}");
            self.broken(now, "floor", &how);
        }
    }

    /// No provider starves another.
    fn check_lateness(&mut self, process: &Process, client: &str, now: Duration) {
        let Some(account) = self.accounts.get(client) else { return };
        let (Some(shown), Some(last)) = (&account.written, &account.last) else { return };
        let provider = self.plan.provider_of(account.token);
        let kind = self.plan.providers[provider].kind;
        let from = shown.due.saturating_sub(API_PATIENCE);
        let regular = matches!(kind, Kind::Plain | Kind::Rotating)
            && !account.lost
            && shown.process == Some(process.number)
            && last.process == process.number
            && matches!(last.outcome, Outcome::Token { written: true, .. })
            && account.urgent.is_none_or(|at| at + API_PATIENCE < from)
            && process.started + SPREAD < shown.due
            && self.plan.weather[provider].calm(from, now)
            && self.plan.api.calm(from.saturating_sub(LONGEST_BACKOFF), now)
            && self.alone_since(from);
        if !regular || shown.at + floor(Duration::from_mins(1)) > shown.due {
            return;
        }
        let late = now.saturating_sub(shown.due);
        self.verdict.lateness.push(u32::try_from(late.as_millis()).unwrap_or(u32::MAX));
        if late > LATE {
            let how = format!("{client} is asked for {late:?} late, though p{provider} is well");
            self.broken(now, "starvation", &how);
        }
    }

    /// A request reaches its provider: never more than its budget.
    pub fn arrived(&mut self, client: &str, now: Duration) {
        let Some(account) = self.accounts.get_mut(client) else { return };
        let Kind::Budgeted(most) = self.plan.providers[self.plan.provider_of(account.token)].kind
        else {
            return;
        };
        account.arrivals.retain(|at| now < *at + BUDGET_WINDOW);
        account.arrivals.push(now);
        self.verdict.budgeted += 1;
        let many = account.arrivals.len();
        self.verdict.used_up += u64::from(many == most);
        if many > most {
            self.broken(
                now,
                "budget",
                &format!("{client} asks {many} times in an hour, not {most}"),
            );
        }
    }

    /// A provider has made up its mind.
    pub fn answered(&mut self, process: &Process, (client, meant): (&str, &Meant), now: Duration) {
        let alone = self.living.len() == 1;
        let living = self.living.clone();
        let Some(account) = self.accounts.get_mut(client) else { return };
        match meant {
            Meant::Token { token, expires, refresh, .. } => {
                account.issued.retain(|(issued, _)| issued != token);
                account.issued.push((token.clone(), *expires));
                if account.issued.len() > 8 {
                    account.issued.remove(0);
                }
                if let Some(refresh) = refresh {
                    account.family = Family {
                        refresh: refresh.clone(),
                        process: process.number,
                        alone,
                        ..Family::default()
                    };
                }
            }
            Meant::Reused => {
                account.lost = true;
                self.lost.push(account.token);
                let family = &account.family;
                let ended = !living.contains(&family.process) && !family.stored;
                if !alone || !family.alone {
                    self.verdict.lost_to_two += 1;
                } else if !family.heard || ended {
                    self.verdict.lost_in_window += 1;
                } else {
                    let how = format!("{client} shows a refresh token that was used: {family:?}");
                    self.broken(now, "refresh token", &how);
                }
            }
            Meant::Failed | Meant::Throttled(_) => {}
        }
    }

    /// The process hears of it, or of nothing.
    pub fn heard(&mut self, process: &Process, (client, meant): (&str, &Meant), now: Duration) {
        let Some(account) = self.accounts.get_mut(client) else { return };
        let Some(last) = &mut account.last else { return };
        if last.process != process.number {
            return;
        }
        last.outcome = match meant {
            Meant::Token { life, refresh, .. } => {
                account.family.heard |= refresh.as_ref() == Some(&account.family.refresh);
                Outcome::Token { life: *life, written: false }
            }
            Meant::Throttled(wait) => Outcome::Silence((now - last.at) + *wait),
            Meant::Failed | Meant::Reused => Outcome::Failed,
        };
    }

    /// An object of the API server changed.
    pub fn wrote(&mut self, process: Option<&Process>, written: &Written, now: Duration) {
        if written.at.resource != "secrets" {
            return;
        }
        self.verdict.writes += 1;
        let (namespace, name) = (&written.at.namespace, &written.at.name);
        if let Some(kept) = name.strip_suffix("-renewed") {
            let refresh = written.after.as_ref().and_then(|kept| value(kept, "refresh_token"));
            let notes = written.after.as_ref().is_some_and(|kept| {
                kept["metadata"]["annotations"].get(INTENT).is_some_and(Value::is_string)
            });
            if let Some(account) = self.accounts.get_mut(kept) {
                account.noted = process.filter(|_| notes).map(|process| (process.number, now));
                account.family.stored |= refresh.as_ref() == Some(&account.family.refresh);
            }
        }
        let foreign_name = name.starts_with("c-") && !name.ends_with("-renewed");
        let client = self.targets.get(&(namespace.clone(), name.clone())).cloned();
        let account = client.as_ref().and_then(|client| self.accounts.get_mut(client));
        let foreign =
            account.as_ref().is_some_and(|account| account.foreign && written.before.is_some());
        if let (Some(process), true) = (process, foreign || foreign_name) {
            let how = format!("{} writes {namespace}/{name}, which is not its own", process.number);
            return self.broken(now, "ownership", &how);
        }
        let (Some(account), Some(after)) = (account, &written.after) else { return };
        let token = value(after, "access_token").unwrap_or_default();
        let Some((_, end)) = account.issued.iter().find(|(issued, _)| *issued == token) else {
            return;
        };
        self.ends.push(Reverse((*end, client.unwrap_or_default())));
        if let Some(Asked { outcome: Outcome::Token { written, .. }, process: asker, .. }) =
            &mut account.last
        {
            *written |= process.is_some_and(|process| process.number == *asker);
        }
        let due = due(after).unwrap_or_default();
        let skew = process.map_or(0, |process| process.skew.num_milliseconds());
        let shift = Duration::from_millis(skew.unsigned_abs());
        let due = if skew < 0 { due + shift } else { due.saturating_sub(shift) };
        account.written =
            Some(Shown { at: now, due, process: process.map(|process| process.number) });
    }

    /// When the next token ends that is or was shown.
    pub fn next_end(&self) -> Option<Duration> {
        self.ends.peek().map(|Reverse((end, _))| *end)
    }

    /// The tokens that end now.
    pub fn ending(&mut self, now: Duration) -> Vec<usize> {
        let mut ending = Vec::new();
        while self.next_end().is_some_and(|end| end <= now) {
            let Some(Reverse((_, client))) = self.ends.pop() else { break };
            ending.extend(self.accounts.get(&client).map(|account| account.token));
        }
        ending
    }

    /// No expired token where the provider would have answered throughout the last third of the
    /// lead.
    pub fn check_end(&mut self, token: usize, target: Option<&Value>, now: Duration) {
        let client = format!("c-{token}");
        let shown = target.and_then(|target| value(target, "access_token"));
        let Some(account) = self.accounts.get(&client) else { return };
        self.verdict.ends += 1;
        let end = account.issued.iter().find(|(issued, _)| Some(issued) == shown.as_ref());
        let expired = end.is_some_and(|(_, end)| *end <= now);
        let provider = self.plan.provider_of(token);
        let kind = self.plan.providers[provider].kind;
        let answers = matches!(kind, Kind::Plain | Kind::Rotating | Kind::Sliding);
        let life = self.plan.providers[provider].life;
        let lead = Duration::from_secs(140).clamp(life / 5, life / 2);
        let from = now.saturating_sub(lead / 3);
        let silent = match &account.last {
            Some(Asked { at, outcome: Outcome::Silence(wait), .. }) => *at + *wait > from,
            _ => false,
        };
        // As docs/refresh-tokens.md says: the next process waits until the note has run out.
        let noted = account
            .noted
            .is_some_and(|(process, at)| !self.living.contains(&process) && at + NOTE > from);
        let lost = account.lost || account.consents.last().is_some_and(|at| *at > from);
        let judged = answers
            && !noted
            && life >= Duration::from_mins(1)
            && self.plan.weather[provider].calm(from, now)
            && self.plan.api.calm(from.saturating_sub(API_PATIENCE), now)
            && self.alone_since(from)
            && !(account.foreign || lost || silent);
        self.verdict.judged_ends += u64::from(judged);
        match (expired, judged) {
            (true, true) => {
                let how = format!(
                    "the target of {client} holds an expired token; last: {:?}",
                    account.last
                );
                self.broken(now, "expired", &how);
            }
            (true, false) => self.verdict.excused_ends += 1,
            (false, _) => {}
        }
    }

    /// Something happens to a token that lets the next request come sooner.
    pub fn urgent(&mut self, client: &str, now: Duration) {
        if let Some(account) = self.accounts.get_mut(client) {
            account.urgent = Some(now);
        }
    }

    /// A target is somebody else's, or not any more.
    pub fn foreign(&mut self, client: &str, is: bool) {
        if let Some(account) = self.accounts.get_mut(client) {
            account.foreign = is;
            self.verdict.taken_over += u64::from(is);
        }
    }

    /// Whether a target is somebody else's.
    pub fn is_foreign(&self, client: &str) -> bool {
        self.accounts.get(client).is_some_and(|account| account.foreign)
    }

    /// Those who must consent anew, and for the how manieth time.
    pub fn take_lost(&mut self) -> Vec<(usize, usize)> {
        let lost = std::mem::take(&mut self.lost);
        let consents = lost.into_iter().filter_map(|token| {
            let account = self.accounts.get(&format!("c-{token}"))?;
            Some((token, account.consents.len() + 1))
        });
        consents.collect()
    }

    /// A person consented.
    pub fn consented(&mut self, client: &str, now: Duration) {
        if let Some(account) = self.accounts.get_mut(client) {
            account.lost = false;
            account.consents.push(now);
            account.family = Family::default();
            account.urgent = Some(now);
        }
    }
}

/// By default: half the life, but not under 5 s nor over 30 s.
fn floor(life: Duration) -> Duration {
    (life / 2).clamp(Duration::from_secs(5), Duration::from_secs(30))
}

fn due(target: &Value) -> Option<Duration> {
    let due = parse_time(target["metadata"]["annotations"][REFRESH_AT].as_str()?)?;
    Some(since_beginning(due))
}
