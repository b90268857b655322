use rstest::rstest;

use super::*;
use crate::error::Error;

fn refused(status: u16, code: &str, said: &str) -> Symptoms {
    let error = Error::new(Reason::TokenRequestRejected, format!("HTTP {status}"));
    Symptoms {
        status: Some(status),
        content: Some(Content::Json),
        code: code.to_owned(),
        said: said.to_owned(),
        methods: vec![ClientAuthentication::ClientSecretBasic],
        grant: Grant::ClientCredentials,
        ..Symptoms::of(&error)
    }
}

/// The same of a client that signs.
fn signing(it: Symptoms) -> Symptoms {
    Symptoms { methods: vec![ClientAuthentication::PrivateKeyJwt], signs: true, ..it }
}

fn first(it: &Symptoms) -> String {
    mends(it).remove(0)
}

#[rstest]
#[case::entra("aadsts7000215: invalid client secret provided.", "the client id or the secret")]
#[case::entra_expired(
    "aadsts7000222: the provided client secret keys are expired",
    "make a new client secret"
)]
#[case::entra_unknown(
    "aadsts700016: application with identifier x was not found",
    "does not know this client"
)]
#[case::missing("the parameter `client_secret` is missing", "in a way that is not this provider's")]
#[case::nothing_said("", "the client id or the secret")]
fn words_of_the_provider_go_before_the_code(#[case] said: &str, #[case] mend: &str) {
    let mend_of_it = first(&refused(401, "invalid_client", said));
    assert!(mend_of_it.contains(mend), "{mend_of_it}");
}

#[rstest]
#[case::audience("aud holds none of x", "set assertion.audience")]
#[case::key_id("no known key has the kid", "names no key: set assertion.keyID")]
#[case::signature("the signature is wrong", "another public key")]
#[case::clock("the jwt has expired", "compare the clocks")]
#[case::ahead("iat of the jwt lies ahead", "compare the clocks")]
#[case::subject("sub of the assertion is not the client", "assertion.claims.iss and .sub")]
#[case::nothing_said("", "another public key")]
fn of_what_was_signed_it_is_told_what_does_not_fit(#[case] said: &str, #[case] mend: &str) {
    let mend_of_it = first(&signing(refused(401, "invalid_client", said)));
    assert!(mend_of_it.contains(mend), "{mend_of_it}");
    // Who signs nothing is not told of signatures.
    let other = first(&refused(401, "invalid_client", said));
    assert!(!other.contains("assertion") && !other.contains("public key"), "{other}");
}

#[test]
fn a_newline_is_the_likeliest_of_all_causes() {
    let remark = Some("Secret web/c: client_secret ends in a newline".to_owned());
    let it = Symptoms { remark, ..refused(401, "invalid_client", "aadsts7000215") };
    assert!(first(&it).starts_with("store it without: Secret web/c: client_secret"));
    // An answer that has nothing to do with it is not blamed on it.
    let it = Symptoms { status: Some(200), code: String::new(), ..it };
    assert!(!mends(&it).concat().contains("store it without"));
}

#[test]
fn a_clock_is_blamed_only_where_it_matters() {
    let skew = Some(chrono::TimeDelta::seconds(-90));
    let it = Symptoms { clock_skew: skew, ..refused(401, "invalid_client", "") };
    assert!(!mends(&it).concat().contains("clock"));
    assert!(first(&signing(it)).contains("90 s ahead of the provider's"));
}

#[rstest]
#[case(405, "", "request.method")]
#[case(415, "", "request.encoding")]
#[case(429, "", "limits.minInterval")]
#[case(403, "", "check its rights")]
#[case(503, "", "try again later")]
#[case(400, "unauthorized_client", "the grant client_credentials")]
#[case(400, "invalid_target", "audience or resource")]
#[case(400, "consent_required", "consent to this client")]
#[case(400, "made_up", "compare the request above")]
fn a_code_or_a_status_alone_tells_something(
    #[case] status: u16,
    #[case] code: &str,
    #[case] mend: &str,
) {
    let mend_of_it = first(&refused(status, code, ""));
    assert!(mend_of_it.contains(mend), "{mend_of_it}");
}

#[test]
fn a_method_that_is_asked_for_is_named() {
    let methods = vec![ClientAuthentication::ClientSecretPost];
    let challenge = "basic".to_owned();
    let it = Symptoms { challenge, methods, ..refused(401, "invalid_client", "") };
    assert!(first(&it).contains("clientAuthentication client_secret_basic"));
}

#[rstest]
#[case::of_a_name("x: TLS: invalid peer certificate: NotValidForName", "another host name")]
#[case::of_a_port(
    "x: TLS: received corrupt message of type InvalidContentType",
    "does not speak TLS"
)]
#[case::of_a_port("x: connection refused", "nothing listens")]
#[case::of_something("x: the connection broke", "a firewall or a proxy")]
fn what_cannot_be_reached_is_told_apart(#[case] message: &str, #[case] mend: &str) {
    let error = Error::new(Reason::ProviderUnreachable, message);
    assert!(first(&Symptoms::of(&error)).contains(mend), "{:?}", mends(&Symptoms::of(&error)));
}

#[test]
fn there_is_always_an_advice_and_never_too_much() {
    for reason in Reason::ALL {
        let advice = mends(&Symptoms::of(&Error::new(*reason, "")));
        assert!((1..=MOST).contains(&advice.len()), "{reason:?}: {advice:?}");
    }
}
