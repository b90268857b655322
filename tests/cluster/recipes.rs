//! The recipes of the docs, applied as they stand there, and what becomes of them shown to those
//! whom they are for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{DockerCredential, get_credential_from_reader};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};

use crate::consumers::{install_crds, promtool};
use crate::harness::{World, try_kubectl};
use crate::repository::Repository;

/// The recipes' manifests, with a provider and a host that are here.
fn recipes(world: &World) -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md");
    let text = fs::read_to_string(page).unwrap();
    let blocks = text.split("```yaml recipe\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let here = |block: &str| {
        block
            .replace("namespace: web", &format!("namespace: {}", world.namespace))
            .replace("https://login.example.com/oauth/token", "http://$SIM/oauth2/token")
            .replace(
                "{client_id: shop, client_secret: s3cr3t}",
                &format!("{{client_id: {CLIENT_ID:?}, client_secret: {CLIENT_SECRET:?}}}"),
            )
            .replace("host: git.example.com", "host: 127.0.0.1")
    };
    blocks.map(here).collect()
}

/// A target, as a pod has it mounted.
struct Mounted {
    secret: Secret,
    data: BTreeMap<String, String>,
    folder: tempfile::TempDir,
}

impl Mounted {
    async fn of(world: &World, name: &str) -> Self {
        world.until_ready(name).await;
        let (secret, data) = world.secret(name).await;
        let folder = tempfile::tempdir().unwrap();
        for (key, value) in &data {
            fs::write(folder.path().join(key), value).unwrap();
        }
        assert!(world.sim.is_active(&data["access_token"]));
        Self { secret, data, folder }
    }

    fn token(&self) -> &str {
        &self.data["access_token"]
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join(key)
    }

    fn type_(&self) -> &str {
        self.secret.type_.as_deref().unwrap()
    }
}

/// What a command prints.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_is_taken_by_whom_it_is_for() {
    let world = World::new("recipes").await;
    install_crds().await;
    let _operator = world.operator(&[]);
    let recipes = recipes(&world);
    assert_eq!(recipes.len(), 17);
    for recipe in &recipes {
        world.apply(recipe);
    }
    misspelt(&recipes);
    let mounted = |name: &'static str| Mounted::of(&world, name);

    let header = mounted("header").await;
    let repository = Repository::open(&format!("Bearer {}", header.token()));
    let script = r#"curl -sSf -H "Authorization: $(cat "$1")" "$2/HEAD""#;
    let mut curl = Command::new("bash");
    curl.args(["-c", script, "-"]).arg(header.path("authorization")).arg(repository.url());
    assert!(run(&mut curl).starts_with("ref: "));
    let gateway = mounted("gateway").await;
    assert_eq!(gateway.data["credential"], format!("Bearer {}", gateway.token()));

    netrc(&mounted("netrc").await);
    registry(&mounted("registry").await);

    let basic = mounted("basic").await;
    assert_eq!(basic.type_(), "kubernetes.io/basic-auth");
    assert_eq!((&*basic.data["username"], &*basic.data["password"]), ("shop", basic.token()));

    variables(&mounted("variables").await);

    let json = mounted("json").await;
    let read: serde_json::Value = serde_json::from_str(&json.data["token.json"]).unwrap();
    let expires_at =
        read["expires_on"].as_i64().and_then(|at| chrono::DateTime::from_timestamp(at, 0));
    assert_eq!(read["access_token"], json.token());
    let written = chrono::DateTime::parse_from_rfc3339(&json.data["expires_at"]).unwrap();
    assert_eq!(expires_at.unwrap(), written);

    let argo = mounted("argo").await;
    assert_eq!(argo.secret.labels()["argocd.argoproj.io/secret-type"], "repo-creds");
    let said = ["url", "type", "username", "password"].map(|key| &*argo.data[key]);
    assert_eq!(said, ["https://git.example.com/shop", "git", "oauth2", argo.token()]);

    let flux = mounted("flux").await;
    assert_eq!(flux.data["bearerToken"], flux.token());
    prometheus(&world, &mounted("scrape").await).await;

    let webhook = mounted("webhook").await;
    assert_eq!(webhook.secret.labels()["external-secrets.io/type"], "webhook");
    mounted("partner").await;
    let crossplane = mounted("crossplane").await;
    let read: serde_json::Value = serde_json::from_str(&crossplane.data["credentials"]).unwrap();
    assert_eq!(read["auth"], crossplane.token());
    template(&mounted("ini").await);
    references(&world).await;
}

/// A misspelt field of a consumer's resource is refused: what was applied has none.
fn misspelt(recipes: &[String]) {
    let fields = [
        ("GitRepository", "secretRef"),
        ("OCIRepository", "secretRef"),
        ("HTTPRouteFilter", "valueRef"),
        ("HTTPRoute\n", "extensionRef"),
        ("SecretStore", "jsonPath"),
        ("PushSecret", "secretKey"),
        ("ServiceMonitor", "credentials"),
    ];
    for (kind, field) in fields {
        let kind = format!("kind: {kind}");
        let whole = recipes.iter().find(|recipe| recipe.contains(&kind)).unwrap();
        let (before, rest) = whole.split_once(&kind).unwrap();
        let rest = rest.replace(&format!("{field}:"), &format!("{field}s:"));
        let apply = ["apply", "--dry-run=server", "-f", "-"];
        let refused = try_kubectl(&apply, &format!("{before}{kind}{rest}")).unwrap_err();
        let named = format!("{field}s\"");
        assert!(refused.contains("unknown field") && refused.contains(&named), "{refused}");
    }
}

/// What the consumers' resources refer to is there, with the key that they read.
async fn references(world: &World) {
    let references = [
        ("httproutefilters", "{.spec.credentialInjection.credential.valueRef.name} credential"),
        ("serviceaccounts", "{.imagePullSecrets[0].name} .dockerconfigjson"),
        ("ocirepositories", "{.spec.secretRef.name} .dockerconfigjson"),
        ("gitrepositories", "{.spec.secretRef.name} bearerToken"),
        (
            "servicemonitors",
            "{.spec.endpoints[0].authorization.credentials.name} \
             {.spec.endpoints[0].authorization.credentials.key}",
        ),
        ("secretstores", "{.spec.provider.webhook.secrets[0].secretRef.name} access_token"),
        ("pushsecrets", "{.spec.selector.secret.name} {.spec.data[0].match.secretKey}"),
    ];
    for (kind, reference) in references {
        let path = format!("jsonpath={{range .items[*]}}{reference}{{\"\\n\"}}{{end}}");
        let said = world.kubectl(&["get", kind, "-o", &path]);
        // The namespace's own ServiceAccount refers to nothing.
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
        let [said] = said[..] else { panic!("{kind}: {said:?}") };
        let (name, key) = said.split_once(' ').unwrap();
        assert!(world.secret(name).await.1.contains_key(key), "{kind}: {name} has no {key:?}");
    }
}

/// Prometheus takes the scrape configuration, and is let in with what it makes it send.
async fn prometheus(world: &World, mounted: &Mounted) {
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let written = &maps.get("prometheus").await.unwrap().data.unwrap()["prometheus.yml"];
    let here = written.replace("/etc/prometheus/token", mounted.folder.path().to_str().unwrap());
    let file = |name: &str, text: &str| {
        let file = world.folder().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    run(promtool().args(["check", "config"]).arg(file("prometheus.yml", &here)));
    // Where the Secret is not mounted, it is told.
    let unmounted =
        promtool().args(["check", "config"]).arg(file("unmounted.yml", written)).output();
    assert!(!unmounted.unwrap().status.success());

    let config: serde_yaml::Value = serde_yaml::from_str(&here).unwrap();
    let authorization = &config["scrape_configs"][0]["authorization"];
    let http = file("http.yml", &serde_json::json!({"authorization": authorization}).to_string());
    let repository = Repository::open(&format!("Bearer {}", mounted.token()));
    repository.hold("-/healthy");
    let health = ["check", "healthy", "--url", &repository.url()];
    run(promtool().args(health).arg("--http.config.file").arg(http));
    assert!(!promtool().args(health).output().unwrap().status.success());
}

fn netrc(mounted: &Mounted) {
    let pair = STANDARD.encode(format!("oauth2:{}", mounted.token()));
    let repository = Repository::open(&format!("Basic {pair}"));
    let mut curl = Command::new("curl");
    curl.arg("-sSf").arg("--netrc-file").arg(mounted.path(".netrc"));
    assert!(run(curl.arg(format!("{}/HEAD", repository.url()))).starts_with("ref: "));
    let mut git = Command::new("git");
    git.args(["ls-remote", &repository.url()]);
    git.env("HOME", mounted.folder.path()).env("GIT_TERMINAL_PROMPT", "0");
    assert!(run(&mut git).contains("refs/heads/main"));
    // Without it neither gets anything.
    git.env("HOME", Path::new("/nonexistent"));
    assert!(!git.output().unwrap().status.success());
}

/// A registry client's own parser.
fn registry(mounted: &Mounted) {
    assert_eq!(mounted.type_(), "kubernetes.io/dockerconfigjson");
    let config = fs::File::open(mounted.path(".dockerconfigjson")).unwrap();
    let found = get_credential_from_reader(config, "registry.example.com:5000").unwrap();
    let DockerCredential::UsernamePassword(username, password) = found else { panic!("{found:?}") };
    assert_eq!((&*username, &*password), ("oauth2accesstoken", mounted.token()));
}

fn variables(mounted: &Mounted) {
    for shell in ["sh", "bash"] {
        let mut shell = Command::new(shell);
        let script = r#". "$1"; printf '%s|%s|%s' "$SHOP_ACCESS_TOKEN" "$SHOP_TOKEN_TYPE" "$SHOP_EXPIRES_AT""#;
        let said = run(shell.args(["-c", script, "-"]).arg(mounted.path("token.env")));
        let data = &mounted.data;
        let keys = [&data["access_token"], &data["token_type"], &data["expires_at"]];
        assert_eq!(said, keys.map(String::as_str).join("|"));
    }
    // Docker splits lines at the first = and takes the rest as it is.
    let lines: BTreeMap<&str, &str> =
        mounted.data["token.env"].lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(lines["SHOP_ACCESS_TOKEN"], mounted.token());
}

fn template(mounted: &Mounted) {
    assert_eq!(mounted.secret.labels()["example.com/team"], "shop");
    let annotation = &mounted.secret.annotations()["example.com/valid-until"];
    assert_eq!(annotation, &mounted.data["expires_at"]);
    let namespace = mounted.secret.namespace().unwrap();
    let expected =
        format!("[api]\nuser = {namespace}/ini\ntoken = {}\nscheme = Bearer\n", mounted.token());
    assert_eq!(mounted.data["config.ini"], expected);
}
