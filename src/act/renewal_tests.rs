use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretBox};

use super::*;

fn digester(byte: u8) -> Digester {
    Digester::new(&SecretBox::new(Box::new([byte; 32])))
}

fn refresh(token: &str) -> Renewed {
    Renewed { refresh_token: Some(token.into()), access_token: None }
}

fn seed_of(token: &str) -> String {
    format!("{}/", digester(1).credential(&token.into()))
}

fn shown(renewed: &Renewed) -> &str {
    renewed.refresh_token.as_ref().map_or("", |token| token.expose_secret())
}

/// After a first answer to the consent `a`.
fn kept() -> Kept {
    Kept { seed: seed_of("a"), renewed: refresh("a1"), ..Kept::default() }
}

fn intent(spends: &str) -> Intent {
    let at: DateTime<Utc> = DateTime::UNIX_EPOCH;
    Intent {
        holder: "one".into(),
        token: "web/shop".into(),
        spends: spends.into(),
        since: at,
        at,
        until: at + TimeDelta::seconds(30),
        unanswered: 0,
    }
}

fn news(seed: &str, renewed: &str) -> Former {
    Former { seed: seed_of(seed), renewed: refresh(renewed) }
}

#[test]
fn an_answer_takes_the_place_of_what_was_used_up_and_ends_the_intent() {
    let ours = intent(&seed_of("a1"));
    let noted = Kept { intent: Some(ours.clone()), ..kept() };
    let conclusion = Conclusion { intent: ours, news: Some(news("a", "a2")) };
    let next = noted.concluded(&conclusion, &digester(1)).unwrap();
    assert_eq!((shown(&next.renewed), next.intent), ("a2", None));
    assert!(next.former.is_none());
}

#[test]
fn a_refusal_ends_the_intent_and_nothing_else() {
    let ours = intent(&seed_of("b"));
    let noted = Kept { intent: Some(ours.clone()), ..kept() };
    let next = noted.concluded(&Conclusion { intent: ours, news: None }, &digester(1)).unwrap();
    assert_eq!((shown(&next.renewed), &next.seed, next.intent), ("a1", &seed_of("a"), None));
}

#[test]
fn what_another_process_has_kept_meanwhile_stays() {
    let conclusion = Conclusion { intent: intent(&seed_of("a1")), news: Some(news("a", "a2")) };
    let other = Intent { holder: "two".into(), ..intent(&seed_of("a1")) };
    // It has taken over, and has no answer yet: it keeps its intent, and finds ours.
    let taken = Kept { intent: Some(other.clone()), ..kept() };
    let next = taken.concluded(&conclusion, &digester(1)).unwrap();
    assert_eq!((shown(&next.renewed), next.intent), ("a2", Some(other)));
    // It has its answer.
    let newer = Kept { renewed: refresh("a3"), ..kept() };
    assert!(newer.concluded(&conclusion, &digester(1)).is_none());
}

#[test]
fn credentials_that_are_put_back_go_on_where_they_were() {
    let replaced = kept().with(&news("b", "b1"));
    assert_eq!(shown(&replaced.go_on(&seed_of("b"))), "b1");
    assert_eq!(shown(&replaced.go_on(&seed_of("a"))), "a1");
    assert_eq!(shown(&replaced.go_on(&seed_of("c"))), "");
    let back = replaced.with(&news("a", "a2"));
    assert_eq!(shown(&back.go_on(&seed_of("a"))), "a2");
    assert_eq!(shown(&back.go_on(&seed_of("b"))), "b1");
}

#[test]
fn what_was_renewed_stands_in_for_what_it_began_with() {
    let (seed, digester) = (seed_of("a"), digester(1));
    assert_eq!(generation(&seed, &Renewed::default(), &digester), seed);
    assert_eq!(generation(&seed, &refresh("a1"), &digester), seed_of("a1"));
}

#[test]
fn what_is_written_late_takes_nothing_newer_away() {
    let renewals = Renewals::new(&Chance::system());
    let credentials = SecretKey { namespace: "web".into(), name: "c".into() };
    let conclusion = |spends: &str, next: &str| Conclusion {
        intent: intent(&seed_of(spends)),
        news: Some(news("a", next)),
    };
    let (first, second) = (conclusion("a1", "a2"), conclusion("a2", "a3"));
    renewals.note(&credentials, &first);
    renewals.note(&credentials, &second);
    renewals.note_written(&credentials, &first);
    assert_eq!(renewals.unsaved(&credentials).unwrap().intent, second.intent);
    renewals.note_written(&credentials, &second);
    assert!(renewals.is_empty());
}

#[test]
fn two_processes_have_two_names() {
    let chance = Chance::system();
    assert_ne!(Renewals::new(&chance).holder, Renewals::new(&chance).holder);
}
