//! What a seed makes of a world before anything happens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api_server::{Place, encode};
use crate::dice::Dice;
use crate::mischief::{Mischief, drawn};
use crate::process::OWN_NAMESPACE;
use crate::provider::{Kind, Provider};
use crate::sabotage::Sabotage;
use crate::weather::{Fate, Spell, Weather};

/// The group and version of tokenward's own kinds.
pub const API: &str = "tokenward.dev/v1alpha1";

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// A short life.
const SHORT: Duration = Duration::from_mins(15);

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Tokens.
    pub tokens: usize,
    /// How long it lasts.
    pub span: Duration,
    /// How long tokens live in it.
    pub lives: Lives,
}

impl Size {
    /// 50 tokens for 2 days.
    pub const SMALL: Self =
        Self { tokens: 50, span: Duration::from_hours(48), lives: Lives::Mixed };
    /// 1,000 tokens for 30 days, in minutes.
    pub const FULL: Self =
        Self { tokens: 1000, span: Duration::from_hours(720), lives: Lives::Long };
}

/// How long tokens live: a refresh is what costs, so long lives are what makes a long world cheap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lives {
    /// From minutes to a day, most of them hours.
    Mixed,
    /// From half a day to four.
    Long,
}

/// Everything that is certain from the beginning.
#[derive(Debug)]
pub struct Plan {
    /// Where it all comes from.
    pub seed: u64,
    /// How large it is.
    pub size: Size,
    /// The token endpoints, as they are when nobody has asked them yet.
    pub providers: Vec<Provider>,
    /// The trouble on the way to each of them.
    pub weather: Vec<Weather>,
    /// The trouble on the way to the API server.
    pub api: Weather,
    /// What people do.
    pub mischief: Vec<(Duration, Mischief)>,
    /// What happens to the process.
    pub mishaps: Vec<(Duration, Mishap)>,
    /// A deliberate bug.
    pub sabotage: Option<Sabotage>,
}

/// What happens to a process.
#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    /// It ends on the spot.
    Crash,
    /// It ends so many steps from now, on its way to somewhere or back.
    Doom(u64),
    /// Another one works beside it for so long, then it ends: an update that rolls.
    Overlap(Duration),
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64, size: Size) -> Self {
        let mut dice = Dice::of(seed, "plan");
        let count = (size.tokens / 6).clamp(3, 40);
        let provider = |index| provider(index, size.lives, &mut dice);
        let providers: Vec<Provider> = (0..count).map(provider).collect();
        let weather = (0..count).map(|index| {
            // The first is always well: whatever happens elsewhere must not be felt there.
            let calm = index == 0;
            match calm {
                true => Weather::default(),
                false => Weather::drawn(&mut dice, size.span, (12 * HOUR, 2 * HOUR)),
            }
        });
        let weather = weather.collect();
        Self {
            seed,
            size,
            providers,
            weather,
            api: Weather::drawn(&mut Dice::of(seed, "api"), size.span, (10 * HOUR, 20 * MINUTE)),
            mischief: drawn(&mut Dice::of(seed, "mischief"), size),
            mishaps: mishaps(&mut Dice::of(seed, "mishaps"), size.span),
            sabotage: None,
        }
    }

    /// A world in which nothing goes wrong, but for one bug.
    pub fn sabotaged(sabotage: Sabotage) -> Self {
        let plain = || Provider::new(Kind::Plain, 16 * MINUTE);
        let rotating = Provider::new(Kind::Rotating, 16 * MINUTE);
        let mut plan = Self {
            providers: vec![plain(), rotating, plain()],
            mischief: Vec::new(),
            mishaps: Vec::new(),
            api: Weather::default(),
            weather: vec![Weather::default(); 3],
            sabotage: Some(sabotage),
            ..Self::of(1, Size { tokens: 12, span: HOUR, lives: Lives::Mixed })
        };
        match sabotage {
            Sabotage::OneLine => {
                let hangs = Spell { from: MINUTE, to: HOUR, fate: Fate::Silent, once_in: 1 };
                plan.weather[2] = Weather::of(vec![hangs]);
            }
            // So fast that minutes are enough.
            Sabotage::FastClock => plan.size.span = 5 * MINUTE,
            Sabotage::NoLimits => plan.providers[2].kind = Kind::Budgeted(2),
            Sabotage::NothingForeign => {
                plan.mischief = vec![(2 * MINUTE, Mischief::TakeOver(0))];
            }
            _ => {}
        }
        plan
    }

    /// Which provider a token is of. Where tokens live for minutes only there is but one, for it
    /// costs as much as a hundred others.
    pub fn provider_of(&self, token: usize) -> usize {
        let (round, index) = (token / self.providers.len(), token % self.providers.len());
        if round > 0 && self.providers[index].life < SHORT { 0 } else { index }
    }

    /// The namespace that a token is in.
    pub fn namespace(token: usize) -> String {
        format!("ns-{}", token % 5)
    }

    /// Where something of the core is.
    pub fn core(resource: &str, namespace: &str, name: &str) -> Place {
        Place {
            api_version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Where a token is.
    pub fn token(index: usize) -> Place {
        let name = format!("t-{index}");
        let core = Self::core("oauthclienttokens", &Self::namespace(index), &name);
        Place { api_version: API.to_owned(), ..core }
    }

    /// Where its target is.
    pub fn target(index: usize) -> Place {
        Self::core("secrets", &Self::namespace(index), &format!("t-{index}"))
    }

    /// Where its credentials are.
    pub fn credentials(index: usize) -> Place {
        Self::core("secrets", &Self::namespace(index), &format!("c-{index}"))
    }

    fn document(&self, index: usize) -> Value {
        let provider = &self.providers[index];
        let rotates = provider.kind == Kind::Rotating;
        let mut document = json!({
            "grant": if rotates { "refresh_token" } else { "client_credentials" },
            "request": {"url": format!("https://p{index}.example/token")},
            "clientAuthentication": ["client_secret_post"],
        });
        if let Kind::Budgeted(most) = provider.kind
            && self.sabotage != Some(Sabotage::NoLimits)
        {
            document["limits"] = json!({"requestsPer": {"1h": most}});
        }
        document
    }

    /// What is there in the beginning.
    pub fn objects(&self) -> Vec<(Place, Value)> {
        let mut objects = vec![(Self::core("namespaces", "", OWN_NAMESPACE), json!({}))];
        let key = json!({"data": {"key": encode(&[7; 32])}});
        objects.push((Self::core("secrets", OWN_NAMESPACE, "tokenward-digest-key"), key));
        for namespace in 0..5 {
            objects.push((Self::core("namespaces", "", &Self::namespace(namespace)), json!({})));
        }
        for index in 0..self.providers.len() {
            for namespace in 0..5 {
                let core =
                    Self::core("oauthproviders", &Self::namespace(namespace), &format!("p{index}"));
                let place = Place { api_version: API.to_owned(), ..core };
                objects.push((place, json!({"spec": self.document(index)})));
            }
        }
        for index in 0..self.size.tokens {
            objects.push((Self::credentials(index), json!({"stringData": credentials(index, 0)})));
            let spec = json!({"spec": {
                "providerRef": {"name": format!("p{}", self.provider_of(index))},
                "credentialsSecretRef": {"name": format!("c-{index}")},
            }});
            objects.push((Self::token(index), spec));
        }
        objects
    }
}

/// What a client shows; with the so manieth consent of a person.
pub fn credentials(index: usize, consent: usize) -> Value {
    json!({
        "client_id": format!("c-{index}"), "client_secret": "s3cret",
        "refresh_token": format!("c-{index}-consent-{consent}"),
    })
}

fn provider(index: usize, lives: Lives, dice: &mut Dice) -> Provider {
    let kinds = [
        Kind::Plain,
        Kind::Rotating,
        Kind::Plain,
        Kind::Same,
        Kind::Rotating,
        Kind::Sliding,
        Kind::Limited(6),
        Kind::Budgeted(4),
        Kind::Slow(10),
        Kind::Flaky(4),
    ];
    let kind = kinds[index % kinds.len()];
    let life = match dice.between(0, 24) {
        _ if lives == Lives::Long => dice.time(12 * HOUR, 96 * HOUR),
        // The first has more tokens than the others.
        0..2 if index > 0 => dice.time(MINUTE, SHORT),
        0..5 => dice.time(SHORT, HOUR),
        5..12 => HOUR,
        _ => dice.time(HOUR, 24 * HOUR),
    };
    Provider::new(kind, Duration::from_secs(life.as_secs()))
}

fn mishaps(dice: &mut Dice, span: Duration) -> Vec<(Duration, Mishap)> {
    let mut mishaps = Vec::new();
    let mut at = dice.time(HOUR, 8 * HOUR);
    while at < span {
        mishaps.push((
            at,
            match dice.between(0, 5) {
                0 => Mishap::Crash,
                1 => Mishap::Overlap(dice.time(MINUTE, 10 * MINUTE)),
                _ => Mishap::Doom(dice.between(0, 40)),
            },
        ));
        at += dice.time(HOUR, 10 * HOUR);
    }
    mishaps
}
