use rstest::rstest;

use super::*;

const TIMEOUT: i64 = 20;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// What the process `one` noted at 0: 5 s to send, 20 to be answered, 10 to keep it.
fn noted() -> Intent {
    Intent {
        holder: "one".into(),
        token: "web/shop".into(),
        spends: "k.a/".into(),
        since: at(0),
        at: at(0),
        until: at(35),
        unanswered: 0,
    }
}

fn bid<'a>(holder: &'a str, spends: &'a str, now: i64) -> Bid<'a> {
    let (now, timeout) = (at(now), TimeDelta::seconds(TIMEOUT));
    Bid { holder, token: "web/shop", spends, now, timeout }
}

#[test]
fn where_nothing_is_noted_it_is_our_turn() {
    assert_eq!(bid("one", "k.a/", 0).turn(None), Award::Spend(noted()));
}

#[rstest]
#[case::just_noted(0, true)]
#[case::being_kept(34, true)]
#[case::clocks_differ(44, true)]
#[case::gone(45, false)]
#[case::our_clock_is_behind(-10, true)]
#[case::a_clock_that_is_wrong(-11, false)]
fn another_process_is_waited_for(#[case] now: i64, #[case] waits: bool) {
    let turn = bid("two", "k.a/", now).turn(Some(&noted()));
    match waits {
        true => assert_eq!(turn, Award::Wait { until: at(45) }),
        false => assert!(matches!(turn, Award::Spend(_)), "{turn:?}"),
    }
}

/// Whoever takes over does not know whether the former request had its effect.
#[rstest]
#[case::our_own("one", 3)]
#[case::of_a_process_that_is_gone("two", 60)]
fn an_intent_that_is_open_is_an_answer_that_nobody_has_seen(
    #[case] holder: &str,
    #[case] now: i64,
) {
    let Award::Spend(next) = bid(holder, "k.a/", now).turn(Some(&noted())) else { panic!() };
    assert_eq!((next.unanswered, next.since, next.at), (1, at(0), at(now)));
    assert_eq!(next.holder, holder);
    let Award::Spend(third) = bid(holder, "k.a/", now + 90).turn(Some(&next)) else { panic!() };
    assert_eq!((third.unanswered, third.since), (2, at(0)));
}

#[test]
fn an_intent_for_another_credential_stands_in_nobodys_way() {
    let Award::Spend(next) = bid("two", "k.b/", 1).turn(Some(&noted())) else { panic!() };
    assert_eq!((next.unanswered, next.since), (0, at(1)));
    // A digest made with another key says nothing.
    assert_eq!(bid("two", "l.b/", 1).turn(Some(&noted())), Award::Wait { until: at(45) });
}

#[test]
fn an_intent_that_would_never_end_is_not_believed() {
    let endless = Intent { until: at(100_000), ..noted() };
    assert!(matches!(bid("two", "k.a/", 1).turn(Some(&endless)), Award::Spend(_)));
}

#[test]
fn nothing_is_sent_so_late_that_another_may_have_taken_over() {
    let intent = noted();
    let last_answer = send_by(&intent) + TimeDelta::seconds(TIMEOUT);
    assert!(last_answer + KEEPING <= intent.until);
}

#[rstest]
#[case::the_first(0, None, 1, Class::Transient)]
#[case::the_second(1, None, 1, Class::Ambiguous)]
#[case::forgiven(5, Some(600), 599, Class::Transient)]
#[case::not_for_ever(5, Some(600), 600, Class::Ambiguous)]
fn silence_is(
    #[case] unanswered: u32,
    #[case] reuse: Option<i64>,
    #[case] now: i64,
    #[case] class: Class,
) {
    let intent = Intent { unanswered, ..noted() };
    assert_eq!(class_of_silence(&intent, reuse.map(TimeDelta::seconds), at(now)), class);
}

#[test]
fn a_loss_is_told_with_its_likeliest_cause_and_the_way_out() {
    let told = loss_remark(&noted(), ("refresh_token", "web/c"));
    assert!(told.starts_with("the refresh_token was revoked, has expired, or"), "{told}");
    assert!(told.ends_with("put the new refresh_token into Secret web/c"), "{told}");
    let told = loss_remark(&Intent { unanswered: 1, ..noted() }, ("refresh_token", "web/c"));
    assert!(told.contains("between the provider's answer and our storing it"), "{told}");
    assert!(told.contains("sent at 2027-01-15T08:00:00Z"), "{told}");
}

#[rstest]
#[case::as_it_was_left(Some(noted()), "k.a/", Keeping::Conclude)]
// Reset by a new consent meanwhile, and noted by us since: ours.
#[case::whatever_is_there(Some(noted()), "k.z/", Keeping::Conclude)]
#[case::taken_over(Some(Intent { holder: "two".into(), ..noted() }), "k.a/", Keeping::Yield)]
#[case::noted_again(Some(Intent { at: at(1), ..noted() }), "k.a/", Keeping::Yield)]
#[case::overtaken(Some(Intent { holder: "two".into(), ..noted() }), "k.b/", Keeping::Superseded)]
#[case::the_note_is_gone(None, "k.a/", Keeping::Yield)]
#[case::done_by_another(None, "k.b/", Keeping::Superseded)]
fn an_answer(#[case] there: Option<Intent>, #[case] current: &str, #[case] then: Keeping) {
    assert_eq!(keeping(&noted(), there.as_ref(), current), then);
}

#[rstest]
#[case::the_same("k.a/", None, "k.a/", Origin::Kept)]
#[case::replaced("k.a/", None, "k.b/", Origin::Credentials)]
#[case::put_back("k.b/", Some("k.a/"), "k.a/", Origin::Former)]
#[case::a_third("k.b/", Some("k.a/"), "k.c/", Origin::Credentials)]
#[case::the_other_replaced("k.a/k.c", None, "k.a/k.d", Origin::Credentials)]
#[case::another_key("k.a/", None, "l.b/", Origin::Kept)]
#[case::another_key_and_put_back("k.a/", Some("l.b/"), "l.b/", Origin::Former)]
#[case::taken_away("k.a/", None, "/", Origin::Credentials)]
#[case::added("k.a/", None, "k.a/l.b", Origin::Credentials)]
#[case::unreadable("", None, "k.a/", Origin::Credentials)]
fn one_goes_on_from(
    #[case] kept: &str,
    #[case] former: Option<&str>,
    #[case] now: &str,
    #[case] then: Origin,
) {
    assert_eq!(origin(kept, former, now), then);
}
