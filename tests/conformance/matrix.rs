//! Every grant with every client authentication: one table, from which come a test for each cell
//! and `docs/grants.md`.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::bench::{Bench, Run, merge};
use crate::certificates::self_signed;
use crate::server::{Side, server};

/// Which test shows a cell.
#[derive(Clone, Copy)]
pub enum Cell {
    /// The one of this module that has the names of grant and method.
    Here,
    /// `FILE::TEST`, the file from the root of the project.
    At(&'static str),
    /// None: the two do not go together, for this reason.
    Never(&'static str),
}

macro_rules! cell {
    () => {
        Cell::Here
    };
    ($cell:expr) => {
        $cell
    };
}

macro_rules! proof {
    ($grant:ident $method:ident) => {
        #[tokio::test]
        async fn $method() {
            super::prove(stringify!($grant), stringify!($method)).await;
        }
    };
    ($grant:ident $method:ident $cell:expr) => {};
}

macro_rules! matrix {
    ($($grant:ident { $($method:ident $(=> $cell:expr)?),* $(,)? })*) => {
        /// Grants, and for each of them the methods of client authentication.
        pub const TABLE: &[(&str, &[(&str, Cell)])] = &[
            $((stringify!($grant), &[$((stringify!($method), cell!($($cell)?))),*])),*
        ];
        $(mod $grant { $(proof!($grant $method $($cell)?);)* })*
    };
}

const NO_REQUEST: Cell = Cell::Never("no request");

matrix! {
    client_credentials {
        none, client_secret_basic, client_secret_post, client_secret_jwt,
        private_key_jwt, tls_client_auth, self_signed_tls_client_auth,
        bearer, federated_jwt,
    }
    refresh_token {
        none, client_secret_basic, client_secret_post,
        client_secret_jwt, private_key_jwt, tls_client_auth,
        self_signed_tls_client_auth, bearer, federated_jwt,
    }
    jwt_bearer {
        none, client_secret_basic, client_secret_post,
        client_secret_jwt, private_key_jwt, tls_client_auth,
        self_signed_tls_client_auth, bearer, federated_jwt,
    }
    token_exchange {
        none, client_secret_basic, client_secret_post,
        client_secret_jwt, private_key_jwt, tls_client_auth,
        self_signed_tls_client_auth, bearer, federated_jwt,
    }
    password {
        none, client_secret_basic, client_secret_post,
        client_secret_jwt, private_key_jwt, tls_client_auth,
        self_signed_tls_client_auth, bearer, federated_jwt,
    }
    none {
        none, client_secret_basic, client_secret_post, client_secret_jwt,
        private_key_jwt, tls_client_auth, self_signed_tls_client_auth,
        bearer, federated_jwt,
    }
    local {
        none => Cell::At("tests/conformance/grants.rs::a_minted_token_is_believed"),
        client_secret_basic => NO_REQUEST, client_secret_post => NO_REQUEST,
        client_secret_jwt => NO_REQUEST, private_key_jwt => NO_REQUEST,
        tls_client_auth => NO_REQUEST, self_signed_tls_client_auth => NO_REQUEST,
        bearer => NO_REQUEST, federated_jwt => NO_REQUEST,
    }
}

/// A secret that is long enough to sign with.
const SECRET: &str = "s3cr3t: 100% of 64 bytes + \"quotes\" & \\ = enough for every digest";

/// The assertion of a client, where it signs its request.
const CLIENT_ASSERTION: &str = "clientAssertion";

/// What a grant or a method brings along.
#[derive(Default)]
struct Part {
    /// For the provider document.
    document: Value,
    /// For the credentials Secret.
    credentials: Value,
}

/// All cells at once: one run of tokenward, with a token for each.
struct Shared {
    run: Run,
    benches: HashMap<(&'static str, &'static str), Bench>,
}

/// A token is got and is good.
async fn prove(grant: &'static str, method: &'static str) {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let shared = SHARED.get_or_init(fetch_all).await;
    let bench = &shared.benches[&(grant, method)];
    shared.run.assert_good_of(&bench.token());
    bench.vouched().await;
    bench.assert_log(&[("success", "")]).await;
}

async fn fetch_all() -> Shared {
    let first = Bench::new();
    let mut benches = HashMap::new();
    for (grant, cells) in TABLE {
        for (method, _) in cells.iter().filter(|(_, cell)| matches!(cell, Cell::Here)) {
            let side = if method.contains("tls") { Side::Https } else { Side::Http };
            let bench = first.beside_on(side, &format!("{grant}-{method}").replace('_', "-"));
            set_up(&bench, grant, method).await;
            benches.insert((*grant, *method), bench);
        }
    }
    Shared { run: benches[&("client_credentials", "none")].run().await, benches }
}

async fn set_up(bench: &Bench, grant: &str, method: &str) {
    let client = authenticate(bench, method).await;
    let granted = grant_to(bench, grant).await;
    let mut document = merge(client.document, granted.document);
    document["grant"] = grant.into();
    document["clientAuthentication"] = json!([method]);
    // Some grants say who asks with their parameters only; a server that knows public clients by
    // name has to be told.
    if method == "none" && matches!(grant, "jwt_bearer" | "token_exchange" | "none") {
        document["request"]["parameters"]["client_id"] = "{{ credentials.client_id }}".into();
    }
    bench.write_provider(document);
    bench.write_credentials(merge(client.credentials, granted.credentials));
    bench.write_token(json!({}));
}

/// Registers the client, and says what it authenticates with.
async fn authenticate(bench: &Bench, method: &str) -> Part {
    let mut client = json!({"token_endpoint_auth_method": method});
    let mut part = Part::default();
    match method {
        "none" => {}
        "client_secret_basic" | "client_secret_post" | "client_secret_jwt" => {
            client["client_secret"] = SECRET.into();
            part.credentials = json!({"client_secret": SECRET});
            if method == "client_secret_jwt" {
                part.document[CLIENT_ASSERTION] = json!({"algorithm": "HS256"});
            }
        }
        "private_key_jwt" => {
            client["keys"] = json!(["RSA"]);
            part.credentials = json!({"private_key": server().key("RSA", "pkcs1")});
            part.document[CLIENT_ASSERTION] = json!({"algorithm": "PS256", "keyID": "RSA"});
        }
        "bearer" => {
            let issuer = server().issuer(bench.side);
            client["token_endpoint_auth_method"] = "private_key_jwt".into();
            client["keys"] = json!(["P-256"]);
            part.credentials = json!({"private_key": server().key("P-256", "pkcs8")});
            part.document = json!({
                "request": {"url": format!("{issuer}/bearer/token")},
                "assertion": {"algorithm": "ES256", "audience": issuer},
            });
        }
        // A ServiceAccount's own token takes a cluster: see tests/cluster/service_accounts.rs.
        "federated_jwt" => {
            client["token_endpoint_auth_method"] = "private_key_jwt".into();
            client["keys"] = json!(["P-256"]);
            let claims = json!({
                "iss": bench.client_id, "sub": bench.client_id, "aud": bench.token_url(),
            });
            let jwt = json!({"key": "P-256", "claims": claims});
            part.credentials = json!({"identity": bench.control("jwt", jwt).await["value"]});
            part.document["request"]["parameters"]["client_assertion"] =
                "{{ credentials.identity }}".into();
        }
        "tls_client_auth" => {
            let identity = server().authority.client(&bench.client_id);
            client["tls_client_auth_san_dns"] = format!("{}.example", bench.client_id).into();
            part.credentials = json!({"tls.crt": identity.certificate, "tls.key": identity.key});
        }
        "self_signed_tls_client_auth" => {
            let identity = self_signed(&bench.client_id);
            client["certificates"] = json!([identity.certificate]);
            part.credentials = json!({"tls.crt": identity.certificate, "tls.key": identity.key});
        }
        other => panic!("no way to show {other}"),
    }
    bench.register(client).await;
    part
}

/// Sets the server up for a grant, and says what is asked with.
async fn grant_to(bench: &Bench, grant: &str) -> Part {
    let mut part = Part::default();
    match grant {
        "client_credentials" => {}
        "refresh_token" => {
            let consent = json!({"scope": "openid offline_access read"});
            let token = bench.control("refresh-token", consent).await["value"].take();
            part.credentials = json!({"refresh_token": token});
        }
        "jwt_bearer" => {
            bench.control("issuer", json!({"issuer": bench.client_id, "keys": ["P-256"]})).await;
            part.credentials = json!({"assertion.pem": server().key("P-256", "sec1")});
            part.document["assertion"] =
                json!({"algorithm": "ES256", "key": "{{ credentials.assertion.pem }}"});
        }
        "token_exchange" => {
            let subject = json!({"account": "bob", "scope": "read"});
            let token = bench.control("access-token", subject).await["value"].take();
            part.credentials = json!({"subject_token": token});
        }
        "password" => {
            let account = json!({"username": bench.client_id, "password": SECRET});
            bench.control("account", account.clone()).await;
            part.credentials = account;
        }
        "none" => {
            part.document["request"]["parameters"]["grant_type"] = "client_credentials".into();
        }
        other => panic!("no way to show {other}"),
    }
    part
}
