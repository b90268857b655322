//! Budgets without a cluster.

use std::fs;

use provider_simulator::{Behaviour, Fault, RetryAfter, System};

use crate::bench::{Bench, text};

/// Good tokens whose provider may be asked so often.
async fn bench(limits: &str) -> Bench {
    let bench = Bench::new().await;
    bench.write_good("shop");
    bench.write(
        "provider.yaml",
        &format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p, namespace: web}}
spec:
  preset: oauth2
  variables: {{tokenUrl: "http://SIM/oauth2/token"}}
  limits: {{minInterval: 1s, {limits}}}
"#
        ),
    );
    bench
}

fn lose(bench: &Bench, target: &str) {
    fs::remove_dir_all(bench.out().join("web").join(target)).unwrap();
    fs::remove_file(bench.out().join("web").join(format!("{target}.json"))).unwrap();
}

#[tokio::test]
async fn a_budget_holds_from_one_run_to_the_next() {
    let bench = bench("requestsPer: {24h: 2}").await;
    for _ in 0..2 {
        assert_eq!(bench.once(&[]).await.status.code(), Some(0));
        lose(&bench, "shop");
    }
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output).1;
    assert!(told.contains("BudgetExhausted") && told.contains("2 in 24h"), "{told}");
    assert_eq!(bench.requests(), 2);
    let file = bench.out().join(".tokenward/accounts.json");
    let written = fs::read_to_string(&file).unwrap();
    assert!(!written.contains("127.0.0.1"), "{written}");
    // A person may begin anew, and is told so where the file is damaged.
    fs::write(&file, "{").unwrap();
    let output = bench.once(&[]).await;
    assert!(text(&output).1.contains("delete it"), "{output:?}");
    assert_eq!(bench.requests(), 2);
    fs::remove_file(&file).unwrap();
    assert_eq!(bench.once(&[]).await.status.code(), Some(0));
    assert_eq!(bench.requests(), 3);
}

#[tokio::test]
async fn a_silence_holds_for_the_tokens_of_a_later_run() {
    let bench = bench("maxInterval: 24h").await;
    let throttled = Fault::throttled(RetryAfter::Seconds(600));
    bench.sim.set(System::Oauth2, Behaviour::failing(throttled));
    assert_eq!(bench.once(&[]).await.status.code(), Some(1));
    bench.sim.set(System::Oauth2, Behaviour::default());
    let shop = fs::read_to_string(bench.manifests().join("shop.yaml")).unwrap();
    bench.write("later.yaml", &shop.replace("shop", "later"));
    let output = bench.once(&[]).await;
    assert!(text(&output).1.contains("web/later: ProviderThrottled"), "{:?}", text(&output));
    assert_eq!(bench.requests(), 1);
}
