//! What goes wrong when: spells of trouble, drawn from the seed before anything happens.

use std::time::Duration;

use crate::dice::Dice;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It has its effect, but the answer is lost.
    Unheard,
    /// It is refused with a status.
    Refused(u16),
    /// Nothing answers.
    Silent,
}

/// What becomes of one request, and when.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// Until it arrives.
    pub there: Duration,
    /// Until the answer is back.
    pub back: Duration,
    /// What goes wrong.
    pub trouble: Option<Fate>,
}

/// A time of trouble.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    /// Its beginning.
    pub from: Duration,
    /// Its end.
    pub to: Duration,
    /// What happens to requests; to one in so many.
    pub fate: Fate,
    /// 1: to every one.
    pub once_in: u64,
}

/// The spells of one party, in order; they do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Weather(Vec<Spell>);

impl Weather {
    /// Spells of up to `longest`, with pauses of about `pause` between them.
    pub fn drawn(dice: &mut Dice, until: Duration, (pause, longest): (Duration, Duration)) -> Self {
        let fates = [
            Fate::Lost,
            Fate::Unheard,
            Fate::Refused(500),
            Fate::Refused(503),
            Fate::Refused(429),
            Fate::Silent,
        ];
        let mut spells = Vec::new();
        let mut at = dice.time(Duration::ZERO, 2 * pause);
        while at < until {
            let length = dice.time(Duration::from_secs(1), longest);
            let (fate, once_in) = (*dice.pick(&fates), *dice.pick(&[1, 1, 2, 5]));
            spells.push(Spell { from: at, to: at + length, fate, once_in });
            at += length + dice.time(Duration::ZERO, 2 * pause);
        }
        Self(spells)
    }

    /// Exactly these.
    pub fn of(spells: Vec<Spell>) -> Self {
        Self(spells)
    }

    /// The spell of now.
    pub fn at(&self, now: Duration) -> Option<&Spell> {
        let after = self.0.partition_point(|spell| spell.from <= now);
        self.0[..after].last().filter(|spell| now < spell.to)
    }

    /// Whether there was none from then to now.
    pub fn calm(&self, from: Duration, now: Duration) -> bool {
        let after = self.0.partition_point(|spell| spell.from <= now);
        self.0[..after].last().is_none_or(|spell| spell.to <= from)
    }

    /// What becomes of a request now.
    pub fn fate(&self, now: Duration, dice: &mut Dice) -> Option<Fate> {
        let spell = self.at(now)?;
        dice.once_in(spell.once_in).then_some(spell.fate)
    }
}
