//! What people do to the objects of a cluster.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::api_server::{Ask, Place};
use crate::dice::Dice;
use crate::plan::{Plan, Size, credentials};
use crate::world::World;

/// Something that somebody does to a token, given by its number.
#[derive(Clone, Copy, Debug)]
pub enum Mischief {
    /// The target is deleted.
    Delete(usize),
    /// A key of the target is overwritten.
    Damage(usize),
    /// An annotation of the target is taken away.
    Unmark(usize),
    /// Another one's Secret stands where the target was.
    TakeOver(usize),
    /// It goes again.
    GiveBack(usize),
    /// A refresh is asked for.
    Request(usize),
    /// The credentials are written again as they are.
    Touch(usize),
    /// Other scopes are asked for.
    Edit(usize),
    /// Every watch is cut and what happened is forgotten.
    Compact,
}

/// What is done in a world of this size.
pub fn drawn(dice: &mut Dice, size: Size) -> Vec<(Duration, Mischief)> {
    let mut done = by_people(dice, size);
    // Every watcher lists all that there is again: as often in a large world as in a small one.
    let mut at = Duration::ZERO;
    loop {
        at += dice.time(Duration::from_secs(10), Duration::from_hours(12));
        if at >= size.span {
            break;
        }
        done.push((at, Mischief::Compact));
    }
    done.sort_by_key(|(at, _)| *at);
    done
}

fn by_people(dice: &mut Dice, size: Size) -> Vec<(Duration, Mischief)> {
    let mut done = Vec::new();
    let mut at = Duration::ZERO;
    let longest = Duration::from_secs(3600 * 120 / size.tokens.max(1) as u64);
    loop {
        at += dice.time(Duration::from_secs(10), longest);
        if at >= size.span {
            return done;
        }
        let token = usize::try_from(dice.between(0, size.tokens as u64)).expect("an index");
        let next = match dice.between(0, 8) {
            0 | 1 => Mischief::Delete(token),
            2 => Mischief::Damage(token),
            3 => Mischief::Unmark(token),
            4 => Mischief::TakeOver(token),
            5 => Mischief::Request(token),
            6 => Mischief::Touch(token),
            _ => Mischief::Edit(token),
        };
        if let Mischief::TakeOver(token) = next {
            done.push((at + Duration::from_mins(30), Mischief::GiveBack(token)));
        }
        done.push((at, next));
    }
}

impl Mischief {
    /// It happens.
    pub fn happen(self, world: &World) {
        world.note(&format!("{self:?}"));
        let merge = |at: Place, body: Value| {
            world.ask(&person(Method::PATCH, at, body), None);
        };
        let secret = json!({"metadata": {"name": "", "annotations": {"app": "another"}}});
        match self {
            Self::Delete(token) => {
                world.urgent(token);
                world.ask(&person(Method::DELETE, Plan::target(token), json!({})), None);
                // Were it somebody else's, there is nothing of theirs any more.
                world.foreign(token, false);
            }
            Self::Damage(token) => {
                world.urgent(token);
                merge(Plan::target(token), json!({"stringData": {"access_token": "other"}}));
            }
            Self::Unmark(token) => {
                let gone = json!({"tokenward.dev/expires-at": null});
                merge(Plan::target(token), json!({"metadata": {"annotations": gone}}));
            }
            Self::TakeOver(token) => {
                world.urgent(token);
                let at = Plan::target(token);
                world.ask(&person(Method::DELETE, at.clone(), json!({})), None);
                let mut secret = secret;
                secret["metadata"]["name"] = json!(at.name);
                let at = Place { name: String::new(), ..at };
                world.foreign(token, true);
                world.ask(&person(Method::POST, at, secret), None);
            }
            Self::GiveBack(token) if world.is_foreign(token) => {
                world.urgent(token);
                world.ask(&person(Method::DELETE, Plan::target(token), json!({})), None);
                world.foreign(token, false);
            }
            Self::GiveBack(_) => {}
            Self::Request(token) => {
                world.urgent(token);
                let when =
                    json!({"tokenward.dev/refresh-requested-at": format!("{:?}", world.now())});
                merge(Plan::token(token), json!({"metadata": {"annotations": when}}));
            }
            Self::Touch(token) => {
                let touched = json!({"touched": format!("{:?}", world.now())});
                merge(Plan::credentials(token), json!({"metadata": {"annotations": touched}}));
            }
            Self::Edit(token) => {
                world.urgent(token);
                let scope = format!("s{}", world.now().as_secs());
                merge(Plan::token(token), json!({"spec": {"scopes": [scope]}}));
            }
            Self::Compact => world.compact(),
        }
    }
}

/// A person consents anew, for what came of the last consent is lost.
pub fn consent(world: &World, token: usize, consent: usize) {
    let values = credentials(token, consent);
    world.consent(token, values["refresh_token"].as_str().expect("a text"));
    let ask = person(Method::PATCH, Plan::credentials(token), json!({"stringData": values}));
    world.urgent(token);
    world.ask(&ask, None);
}

fn person(method: Method, at: Place, body: Value) -> Ask {
    Ask {
        method,
        at,
        subresource: None,
        query: [("fieldManager".to_owned(), "kubectl-edit".to_owned())].into(),
        content_type: "application/merge-patch+json".to_owned(),
        metadata_only: false,
        body,
    }
}
