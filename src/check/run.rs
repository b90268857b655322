//! One run over manifests: each token once, those that it is made from first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use kube::ResourceExt;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::edge::MemoryEdge;
use super::mend::{clock_words, expiry_words, mends};
use super::story::{Story, Teller};
use super::symptoms::Symptoms;
use super::target::fits;
use super::trace::{Step, Trace, Try, Understood};
use crate::act::{ClusterEdge, Engine, Rehearsal, Tools};
use crate::api::{Delivery, OAuthClientToken};
use crate::clock::Clock;
use crate::decide::Pace;
use crate::error::Error;
use crate::local::{Source, generations};
use crate::oauth::{Digester, Endpoint, Transport, TransportSettings};
use crate::runtime::{Chance, Lead, new_key};
use crate::watch::{Materials, limits, materials};

/// A token is not believed to live longer without a word.
const ABSURD: TimeDelta = TimeDelta::days(400);
/// A clock that is off by less is not told of.
const SKEW: TimeDelta = TimeDelta::seconds(20);

/// Why a token is not tried that takes a ServiceAccount's.
const NO_API_SERVER: &str = "a ServiceAccount's token is had from the API server only: apply it, and \
     run tokenward check --fetch --token NAMESPACE/NAME without FILE";

/// Namespace and name of a token.
pub type Name = (String, String);

/// What a run may do.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// What token requests may do.
    pub transport: TransportSettings,
    /// Whether a refresh token, or a token that renews itself, may be used up.
    pub spend: bool,
    /// The tokens to ask for; all of them where none is named.
    pub only: BTreeSet<Name>,
}

/// What a run begins with.
pub struct Setup {
    /// What manifests say.
    pub source: Source,
    /// Tokens that are there already, for those that are made from them.
    pub tokens: BTreeMap<Name, SecretString>,
    /// Where it was read from, if it was no file.
    pub cluster: Option<ClusterEdge>,
}

/// Asks for each token once. The stories are in the order of the asking. Errors are for people.
pub async fn fetch(setup: Setup, settings: CheckSettings) -> Result<Vec<Story>, String> {
    let clock = Clock::system();
    let transport = Arc::new(Transport::new(settings.transport, clock.clone()));
    let trace = Arc::new(Trace::default());
    let Setup { source, tokens, cluster } = setup;
    let mut order = order(source.tokens(), &settings.only)?;
    // What a token on a cluster is made from is kept fresh there, and not asked for here.
    order.retain(|token| cluster.is_none() || settings.only.contains(&name_of(token)));
    let tools = Tools {
        transport: Arc::clone(&transport),
        digester: Arc::new(Digester::new(&new_key()?)),
        clock,
        chance: Chance::system(),
        stopping: CancellationToken::new(),
        lead: Lead::unopposed(),
    };
    let edge = MemoryEdge::new(source, cluster);
    let had = tokens.keys().cloned().collect();
    for (name, token) in tokens {
        edge.remember(name, token);
    }
    let engine = Engine::new(edge, tools).watched_by(Arc::clone(&trace) as _);
    let mut run = Run { engine, transport, trace, spend: settings.spend, had };
    let mut stories = Vec::new();
    for token in order {
        stories.push(run.tell(&token).await);
    }
    Ok(stories)
}

struct Run {
    engine: Engine<MemoryEdge>,
    transport: Arc<Transport>,
    trace: Arc<Trace>,
    spend: bool,
    /// The tokens that were had.
    had: BTreeSet<Name>,
}

impl Run {
    async fn tell(&mut self, token: &OAuthClientToken) -> Story {
        let (namespace, name) = name_of(token);
        let mut teller = Teller::new(&format!("{namespace}/{name}"));
        let materials = match self.materials(token) {
            Ok(materials) => materials,
            Err((error, endpoint)) => {
                let symptoms = Symptoms::of(&error);
                let symptoms = match &endpoint {
                    Some(endpoint) => symptoms.asking(endpoint),
                    None => symptoms,
                };
                teller.failure(&error, (&[], &mends(&symptoms)));
                return teller.bad();
            }
        };
        let mut parents = materials.parents.iter().map(|parent| &parent.owner);
        let missing = parents
            .find(|owner| !self.had.contains(&(owner.namespace.clone(), owner.name.clone())));
        if let Some(missing) = missing {
            teller.line(
                "not tried",
                &format!(
                    "it is made from the token of {}/{}, which is not to be had",
                    missing.namespace, missing.name
                ),
            );
            return teller.bad();
        }
        if materials.endpoint.renews() && !self.spend {
            teller.line("not tried", not_spent(&materials.endpoint));
            return teller.bad();
        }
        if materials.service_account.is_some() && !self.engine.edge.has_api_server() {
            teller.line("not tried", NO_API_SERVER);
            return teller.bad();
        }
        let rehearsal = self.engine.rehearse(&materials, &namespace).await;
        let steps = self.trace.take();
        teller.client(&materials.endpoint);
        teller.steps(&steps);
        self.conclude(teller, token, (&materials, rehearsal, &steps))
    }

    /// What a token is asked for with, or why it cannot be asked for, and at which endpoint.
    fn materials(
        &self,
        token: &OAuthClientToken,
    ) -> Result<Materials, (Error, Option<Arc<Endpoint>>)> {
        let found = self.engine.edge.source.resolve(token).map_err(|error| (error, None))?;
        let endpoint = Arc::clone(&found.endpoint);
        materials(&token.spec, found, &self.transport).map_err(|error| (error, Some(endpoint)))
    }

    fn conclude(
        &mut self,
        mut teller: Teller,
        token: &OAuthClientToken,
        (materials, rehearsal, steps): (&Materials, Rehearsal, &[Step]),
    ) -> Story {
        let endpoint = &materials.endpoint;
        let Rehearsal { issued, remark, .. } = rehearsal;
        match issued {
            Ok(issued) => {
                if let Some((one, it)) = understood(steps) {
                    let refresh = &token.spec.refresh;
                    teller.token(it, Pace::of(refresh, limits(endpoint), Delivery::Volume));
                    let tries = steps.iter().filter(|step| matches!(step, Step::Try(_))).count();
                    let refused = if one.skew.is_zero() { tries - 1 } else { 0 };
                    let warnings = it.warnings.iter().cloned().chain(remark);
                    for warning in warnings.chain(remarks(endpoint, (one, it, refused))) {
                        teller.line("warning", &warning);
                    }
                }
                let fits = fits(token, endpoint, &issued);
                self.had.insert(name_of(token));
                self.engine.edge.remember(name_of(token), issued.access_token);
                match fits {
                    Ok(()) => teller.good(),
                    Err(error) => {
                        teller.failure(&error, (&[], &mends(&Symptoms::of(&error))));
                        teller.bad()
                    }
                }
            }
            Err(error) => {
                let symptoms = Symptoms::of(&error).asking(endpoint).seeing(steps);
                let symptoms = Symptoms { remark, ..symptoms };
                teller.failure(&error, (steps, &mends(&symptoms)));
                teller.bad()
            }
        }
    }
}

/// The try that gave a token.
fn understood(steps: &[Step]) -> Option<(&Try, &Understood)> {
    steps.iter().rev().find_map(|step| match step {
        Step::Try(one) => Some((&**one, one.token.as_ref()?)),
        Step::Discovery { .. } => None,
    })
}

/// What works and is not as it should be all the same.
fn remarks(endpoint: &Endpoint, (one, it, refused): (&Try, &Understood, usize)) -> Vec<String> {
    let mut remarks = Vec::new();
    let skew = one.clock_skew.filter(|skew| skew.abs() > SKEW && endpoint.signs());
    remarks.extend(skew.map(|skew| clock_words(skew.num_seconds())));
    if let Some(key) = &one.secret_key
        && refused > 0
    {
        remarks.push(format!(
            "a secret was refused before the one under {key:?} was taken: put that one first, or \
             take the other one away"
        ));
    }
    if it.token.renewed {
        remarks.push(
            "the provider handed out a new refresh token, which was kept nowhere: if the one in \
             the Secret was good for one use only, a person has to sign in once more"
                .to_owned(),
        );
    }
    let elsewhere = one.answer.iter().flat_map(|answer| &answer.expiries).next();
    let (places, assumed) = endpoint.expiry_places();
    let overlooked = elsewhere.filter(|(at, _)| assumed && !places.split(", ").any(|p| p == at));
    remarks.extend(overlooked.map(|(at, kind)| expiry_words(at, kind)));
    if it.life.expires_at - it.life.issued_at > ABSURD && !endpoint.is_local() {
        remarks.push(match elsewhere {
            Some((at, kind)) => {
                format!("it is said to live for more than a year; {}", expiry_words(at, kind))
            }
            None => "it is said to live for more than a year: check response.expiry".to_owned(),
        });
    }
    remarks
}

fn not_spent(endpoint: &Endpoint) -> &'static str {
    match endpoint.needs().current {
        true => {
            "asking would put a new token in the place of the one in use, and what is in the \
             Secret may be good for nothing afterwards; --spend-refresh-token does so all the same"
        }
        false => {
            "asking uses up the refresh token where the provider rotates it, and a check keeps no \
             new one; --spend-refresh-token asks all the same"
        }
    }
}

/// The tokens that are wanted and those that they are made from, which come first.
fn order(
    tokens: &[Arc<OAuthClientToken>],
    only: &BTreeSet<Name>,
) -> Result<Vec<Arc<OAuthClientToken>>, String> {
    let find = |name: &Name| tokens.iter().find(|token| name_of(token) == *name);
    if let Some(missing) = only.iter().find(|name| find(name).is_none()) {
        return Err(format!("OAuthClientToken {}/{} is in no manifest", missing.0, missing.1));
    }
    let mut wanted = BTreeSet::new();
    let mut next: Vec<Name> = match only.is_empty() {
        true => tokens.iter().map(|token| name_of(token)).collect(),
        false => only.iter().cloned().collect(),
    };
    while let Some(name) = next.pop() {
        let Some(token) = find(&name) else { continue };
        let parents = token.spec.token_refs.values();
        if wanted.insert(name.clone()) {
            next.extend(parents.map(|parent| (name.0.clone(), parent.name.clone())));
        }
    }
    let wanted: Vec<_> =
        tokens.iter().filter(|token| wanted.contains(&name_of(token))).cloned().collect();
    Ok(generations(&wanted).concat())
}

fn name_of(token: &OAuthClientToken) -> Name {
    (token.namespace().unwrap_or_default(), token.name_any())
}
