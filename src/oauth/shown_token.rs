//! What can be said of a token without telling it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::jwt;
use super::life::number;
use super::response::Issued;
use super::secrets::Secrets;
use super::supplies::Supplies;

/// What can be said of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownToken {
    /// Its length in characters.
    pub length: usize,
    /// `iss`, `aud` and `exp`, where it is a JWT and tells them.
    pub claims: Option<Vec<(&'static str, String)>>,
    /// The names of further outputs.
    pub outputs: Vec<String>,
    /// Whether the provider handed out a refresh token that is now the one to use.
    pub renewed: bool,
}

impl ShownToken {
    /// What can be said of a token that was just issued.
    pub fn of(issued: &Issued, supplies: &Supplies) -> Self {
        let token = &issued.access_token;
        let secrets = Secrets::new(supplies.values());
        let claims = jwt::claims(token.expose_secret()).map(|claims| {
            let shown = ["iss", "aud", "exp"].into_iter();
            shown.filter_map(|name| Some((name, claim(claims.get(name)?, &secrets)))).collect()
        });
        Self {
            length: length(token),
            claims,
            outputs: issued.outputs.keys().cloned().collect(),
            renewed: issued.refresh_token.is_some(),
        }
    }
}

impl Endpoint {
    /// Where in the answer its expiry is looked for, and whether a life is assumed where there is
    /// none.
    pub fn expiry_places(&self) -> (String, bool) {
        (self.response.expiry.at.to_string(), self.response.expiry.default.is_some())
    }
}

fn claim(value: &Value, secrets: &Secrets<'_>) -> String {
    let text = value.to_string();
    match (number(value), secrets.touch(&text)) {
        (Some(number), _) => number.to_string(),
        (None, true) => "<redacted>".to_owned(),
        (None, false) => text.chars().take(200).collect(),
    }
}

fn length(secret: &SecretString) -> usize {
    secret.expose_secret().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{answered, client, endpoint, json_answer, supplies};
    use serde_json::json;

    #[test]
    fn a_jwt_tells_whose_it_is_and_for_whom() {
        let endpoint = endpoint("{request: {url: 'https://id.example'}}");
        // {"iss":"https://id.example","aud":["editor-sync","b"],"exp":10,"sub":"x"}
        let token = "e30.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOlsiZWRpdG9yLXN5bmMiLCJiIl0sImV4cCI6MTAsInN1YiI6IngifQ.x";
        let body = json!({"access_token": token, "expires_in": 60});
        let issued = answered(&endpoint, &json_answer(200, &[], &body)).unwrap();
        let shown = ShownToken::of(&issued, &supplies(client()));
        assert_eq!(shown.length, token.len());
        let iss = ("iss", "\"https://id.example\"".to_owned());
        // The audience quotes the client's id, which is a credential.
        let aud = ("aud", "<redacted>".to_owned());
        assert_eq!(shown.claims, Some(vec![iss, aud, ("exp", "10".to_owned())]));
    }
}
