use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use rstest::rstest;
use serde_json::json;

use super::*;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/", $name, ".pem"))
    };
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn public(key: &SigningKey) -> Vec<u8> {
    match key {
        SigningKey::Rsa(pair, _) => pair.public_key().as_ref().to_vec(),
        SigningKey::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
        SigningKey::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        SigningKey::Hmac(_) => unreachable!(),
    }
}

#[rstest]
#[case(Algorithm::RS256, key!("rsa"), &RSA_PKCS1_2048_8192_SHA256)]
#[case(Algorithm::RS384, key!("rsa-pkcs1"), &RSA_PKCS1_2048_8192_SHA384)]
#[case(Algorithm::RS512, key!("rsa"), &RSA_PKCS1_2048_8192_SHA512)]
#[case(Algorithm::PS256, key!("rsa"), &RSA_PSS_2048_8192_SHA256)]
#[case(Algorithm::PS384, key!("rsa-pkcs1"), &RSA_PSS_2048_8192_SHA384)]
#[case(Algorithm::PS512, key!("rsa"), &RSA_PSS_2048_8192_SHA512)]
#[case(Algorithm::ES256, key!("es256"), &ECDSA_P256_SHA256_FIXED)]
#[case(Algorithm::ES256, key!("es256-sec1"), &ECDSA_P256_SHA256_FIXED)]
#[case(Algorithm::ES384, key!("es384"), &ECDSA_P384_SHA384_FIXED)]
#[case(Algorithm::ES384, key!("es384-sec1"), &ECDSA_P384_SHA384_FIXED)]
#[case(Algorithm::ES512, key!("es512"), &ECDSA_P521_SHA512_FIXED)]
#[case(Algorithm::ES512, key!("es512-sec1"), &ECDSA_P521_SHA512_FIXED)]
#[case(Algorithm::EdDsa, key!("ed25519"), &ED25519)]
fn what_is_signed_verifies(
    #[case] algorithm: Algorithm,
    #[case] pem: &str,
    #[case] verifies: &'static dyn VerificationAlgorithm,
) {
    let key = SigningKey::read(algorithm, pem).unwrap();
    let jwt = key.compact(object(&json!({"alg": "x"})), object(&json!({"iss": "é"}))).unwrap();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(verifies, public(&key));
    public.verify(signed.as_bytes(), &signature).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap(), json!({"iss": "é"}));
}

// RFC 4231 section 4.3 (test case 2): the key "Jefe".
#[rstest]
#[case(Algorithm::HS256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")]
#[case(
    Algorithm::HS384,
    "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
)]
#[case(
    Algorithm::HS512,
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
)]
fn a_secret_signs_with_its_bytes(#[case] algorithm: Algorithm, #[case] expected: &str) {
    let key = SigningKey::read(algorithm, "Jefe").unwrap();
    let signature = key.sign(b"what do ya want for nothing?").unwrap();
    assert_eq!(hex(&signature), expected);
    assert_eq!(key.fingerprint(), None);
}

#[test]
fn the_fingerprint_is_that_of_the_public_key() {
    // openssl pkey -in rsa.pem -pubout -outform DER | openssl sha256 -binary | base64
    let public = key!("rsa-public");
    let der = STANDARD.decode(public.lines().filter(|l| !l.starts_with('-')).collect::<String>());
    let expected = STANDARD.encode(digest::digest(&digest::SHA256, &der.unwrap()));
    let key = SigningKey::read(Algorithm::RS256, key!("rsa")).unwrap();
    assert_eq!(key.fingerprint(), Some(expected));
}

#[rstest]
#[case::another_curve(Algorithm::ES256, key!("es384"), "no EC key on the curve that ES256 needs")]
#[case::another_kind(Algorithm::RS256, key!("es256"), "no RSA key of 2048 bits or more")]
#[case::too_short(Algorithm::RS256, key!("rsa-1024"), "no RSA key of 2048 bits or more")]
#[case::not_edwards(Algorithm::EdDsa, key!("es256"), "no Ed25519 key")]
#[case::encrypted(Algorithm::ES256, key!("encrypted"), "encrypted: decrypt it")]
#[case::public(Algorithm::RS256, key!("rsa-public"), "a public key")]
#[case::certificate(Algorithm::RS256, key!("certificate"), "a certificate")]
#[case::nothing(Algorithm::RS256, "s3cr3t", "no private key in PEM")]
#[case::damaged(
    Algorithm::RS256,
    "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----",
    "no RSA key of 2048 bits or more"
)]
fn what_cannot_sign_is_named_and_not_shown(
    #[case] algorithm: Algorithm,
    #[case] text: &str,
    #[case] says: &str,
) {
    let what = SigningKey::read(algorithm, text).err().unwrap();
    assert!(what.contains(says), "{what}");
    assert!(!what.contains("s3cr3t"), "{what}");
}
