//! Who keeps a Secret, who gets it, and what becomes of it.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use tokenward::api::MANAGED_BY;
use tokenward::api::annotations::OWNER;
use tokenward::api::conditions::{FRESH, READY, STALLED};

use crate::harness::{World, kubectl, oauth2_client, oauth2_provider, token};

const SPEC: &str = "providerRef: {name: p}, credentialsSecretRef: {name: c}";

fn provider(world: &World) {
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
}

fn aiming(name: &str, target: &str) -> String {
    token(name, &format!("{SPEC}, target: {{secretName: {target}}}"))
}

fn retain(world: &World, policy: &str) {
    let patch = format!(r#"{{"spec": {{"target": {{"deletionPolicy": "{policy}"}}}}}}"#);
    world.patch("oct/shop", &patch);
}

async fn until_referred(world: &World, referred: bool) -> Secret {
    let is = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| secret.owner_references().is_empty() != referred)
    };
    world.until::<Secret>("shop", is).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_secret_outlives_its_token_and_is_its_successors() {
    let world = World::new("retain").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (made, data) = world.secret("shop").await;
    retain(&world, "Retain");
    let retained = until_referred(&world, false).await;
    assert!(retained.annotations()[OWNER].contains("/shop/"));
    assert!(retained.labels().contains_key(MANAGED_BY));
    retain(&world, "Delete");
    until_referred(&world, true).await;
    retain(&world, "Retain");
    until_referred(&world, false).await;
    world.kubectl(&["delete", "oct", "shop"]);
    // Nobody else gets it unasked.
    world.apply(&aiming("other", "shop"));
    let message = world.until_condition("other", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("OAuthClientToken \"shop\""), "{message}");
    world.kubectl(&["delete", "oct", "other"]);
    operator.kill();
    world.apply(&token("shop", &format!("{SPEC}, target: {{deletionPolicy: Retain}}")));
    let _operator = world.operator(&[]);
    world.until_ready("shop").await;
    let (kept, after) = world.secret("shop").await;
    assert_eq!((kept.uid(), after), (made.uid(), data));
    assert_eq!(world.requests(), 1, "the whole time");
    // With consent it goes to another.
    world.kubectl(&["delete", "oct", "shop"]);
    world.kubectl(&["annotate", "secret", "shop", "tokenward.dev/allow=other"]);
    world.apply(&aiming("other", "shop"));
    world.until_ready("other").await;
    let (taken, _) = world.secret("shop").await;
    assert_eq!((taken.uid(), &*taken.owner_references()[0].name), (made.uid(), "other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_the_older_gets_the_secret_whoever_is_looked_at_first() {
    let world = World::new("rivals").await;
    provider(&world);
    // The older one cannot even be asked for yet.
    world.apply(&token(
        "older",
        "providerRef: {name: absent}, credentialsSecretRef: {name: c}, target: {secretName: one}",
    ));
    // Times of creation are whole seconds; within one the name decides, which is not meant here.
    let made = |name: &str| {
        world.kubectl(&["get", "oct", name, "-o", "jsonpath={.metadata.creationTimestamp}"])
    };
    world.apply(&aiming("a-younger", "one"));
    while made("a-younger") == made("older") {
        world.kubectl(&["delete", "oct", "a-younger"]);
        world.apply(&aiming("a-younger", "one"));
    }
    let operator = world.operator(&[]);
    let message = world.until_condition("a-younger", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("OAuthClientToken \"older\""), "{message}");
    world.until_condition("older", (READY, "False", "ProviderNotFound")).await;
    assert_eq!(world.requests(), 0);
    world.patch("oct/older", r#"{"spec": {"providerRef": {"name": "p"}}}"#);
    world.until_ready("older").await;
    // When the first goes elsewhere, the second heals at once, and takes nothing from it.
    world.patch("oct/older", r#"{"spec": {"target": {"secretName": "two"}}}"#);
    world.until_ready("a-younger").await;
    world.until_ready("older").await;
    assert_eq!(world.requests(), 2);
    let owner = |secret: Secret| secret.owner_references()[0].name.clone();
    assert_eq!(owner(world.secret("one").await.0), "a-younger");
    assert_eq!(owner(world.secret("two").await.0), "older");
    // Whoever has it keeps it, though the other is older.
    world.patch("oct/older", r#"{"spec": {"target": {"secretName": "one"}}}"#);
    let message = world.until_condition("older", (FRESH, "False", "SecretNotOwned")).await;
    assert!(message.contains("\"a-younger\""), "{message}");
    world.until_ready("a-younger").await;
    assert_eq!(world.requests(), 2);
    operator.kill();
    world.kubectl(&["delete", "oct", "a-younger"]);
    let _operator = world.operator(&[]);
    world.until_ready("older").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_target_is_told_of_before_any_request_and_made_anew_when_it_is_gone() {
    let world = World::new("immutable").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.patch("secret/shop", r#"{"immutable": true}"#);
    let message = world.until_condition("shop", (FRESH, "False", "TargetImmutable")).await;
    assert!(message.contains("\"shop\"") && message.contains("delete it"), "{message}");
    world.until_condition("shop", (STALLED, "True", "TargetImmutable")).await;
    world.until_ready("shop").await;
    world.kubectl(&["annotate", "oct", "shop", "tokenward.dev/refresh-requested-at=now"]);
    world.witness("witness", "p", "c").await;
    assert_eq!(world.requests(), 2, "one each");
    operator.kill();
    let _operator = world.operator(&[]);
    world.kubectl(&["delete", "secret", "shop"]);
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    assert_eq!(world.requests(), 3);
    // One that is set to what it is anyway is looked at, and written.
    world.patch("secret/shop", r#"{"immutable": false}"#);
    world.force("shop", "again").await;
    assert_eq!(world.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_target_that_cannot_be_removed_is_tried_again_by_the_next_process_too() {
    let world = World::new("former").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let policy = format!("keep-{}", world.namespace);
    let spec = format!(
        "failurePolicy: Fail\n  matchConstraints: {{namespaceSelector: {{matchLabels: \
         {{kubernetes.io/metadata.name: {}}}}}, resourceRules: [{{apiGroups: [\"\"], \
         apiVersions: [v1], operations: [DELETE], resources: [secrets]}}]}}\n  \
         validations: [{{expression: \"oldObject.metadata.name != 'shop'\"}}]",
        world.namespace
    );
    let manifests = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n\
         metadata: {{name: {policy}}}\nspec:\n  {spec}\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\n\
         metadata: {{name: {policy}}}\nspec: {{policyName: {policy}, validationActions: [Deny]}}\n"
    );
    world.litter(&["validatingadmissionpolicybinding", &policy]);
    world.litter(&["validatingadmissionpolicy", &policy]);
    kubectl(&["apply", "-f", "-"], &manifests);
    // Until it is in force, nothing is refused.
    let refused = async {
        while crate::harness::try_kubectl(
            &["-n", &world.namespace, "delete", "secret", "shop", "--dry-run=server"],
            "",
        )
        .is_ok()
        {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, refused).await.unwrap();
    world.patch("oct/shop", r#"{"spec": {"target": {"secretName": "new"}}}"#);
    let told = |status: &tokenward::api::OAuthClientTokenStatus| {
        status.former_secret_names == ["shop"]
            && status.conditions.iter().any(|c| c.message.contains("a former target: "))
    };
    world.until_status("shop", told).await;
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    operator.kill();
    let _operator = world.operator(&[]);
    world.witness("witness", "p", "c").await;
    assert!(world.secret("shop").await.0.uid().is_some());
    kubectl(&["delete", "validatingadmissionpolicybinding", &policy], "");
    world.until::<Secret>("shop", |secret| secret.is_none()).await;
    let clean = |status: &tokenward::api::OAuthClientTokenStatus| {
        status.former_secret_names.is_empty()
            && status.conditions.iter().all(|c| !c.message.contains("a former target"))
    };
    world.until_status("shop", clean).await;
    assert_eq!(world.requests(), 2, "one each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fight_is_told_of_after_three_rounds_by_the_others_name() {
    let world = World::new("contested").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let undo = async {
        loop {
            let patch = format!(r#"{{"metadata": {{"labels": {{"{MANAGED_BY}": "gitops"}}}}}}"#);
            let manager = "--field-manager=gitops-tool";
            let args = ["patch", "secret", "shop", "--type=merge", manager, "-p", &patch];
            tokio::task::block_in_place(|| world.kubectl(&args));
            let ours = |secret: Option<&Secret>| {
                secret
                    .is_some_and(|s| s.labels().get(MANAGED_BY).is_some_and(|by| by == "tokenward"))
            };
            world.until::<Secret>("shop", ours).await;
        }
    };
    let message = tokio::select! {
        () = undo => unreachable!(),
        message = world.until_condition("shop", (FRESH, "False", "TargetContested")) => message,
    };
    assert!(message.contains("\"gitops-tool\"") && message.contains("\"shop\""), "{message}");
    world.until_ready("shop").await;
    assert!(world.events().contains("TargetContested"));
    assert_eq!(world.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_something_holds_while_it_is_deleted_is_kept_fresh_until_it_goes() {
    let world = World::new("terminating").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let hold = |finalizers: &str| {
        world.patch("secret/shop", &format!(r#"{{"metadata": {{"finalizers": {finalizers}}}}}"#));
    };
    hold(r#"["example.com/audit"]"#);
    world.kubectl(&["delete", "secret", "shop", "--wait=false"]);
    let (old, before) = world.secret("shop").await;
    world.force("shop", "now").await;
    let (again, data) = world.secret("shop").await;
    assert_eq!(again.uid(), old.uid());
    assert_ne!(data["access_token"], before["access_token"]);
    hold("null");
    let anew = |s: Option<&Secret>| s.is_some_and(|secret| secret.uid() != old.uid());
    world.until::<Secret>("shop", anew).await;
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 3);
    // Somebody else's that is about to go is waited for.
    world.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: going, finalizers: [example.com/audit], \
         annotations: {tokenward.dev/allow: guest}}}",
    );
    world.kubectl(&["delete", "secret", "going", "--wait=false"]);
    world.apply(&aiming("guest", "going"));
    let message = world.until_condition("guest", (READY, "False", "TargetNotFound")).await;
    assert!(message.contains("is being deleted"), "{message}");
    world.patch("secret/going", r#"{"metadata": {"finalizers": null}}"#);
    world.until_ready("guest").await;
    assert_eq!(world.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_target_is_taken_up_under_the_new_uid() {
    let world = World::new("restored").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (before, _) = world.secret("shop").await;
    operator.kill();
    // The Secret is as the backup has it, its token has another uid.
    world.kubectl(&["delete", "oct", "shop", "--cascade=orphan"]);
    world.apply_oauth2("shop", "");
    let _operator = world.operator(&[]);
    world.until_ready("shop").await;
    let new = world.kubectl(&["get", "oct", "shop", "-o", "jsonpath={.metadata.uid}"]);
    let renewed = |secret: Option<&Secret>| {
        secret.is_some_and(|s| s.owner_references().iter().any(|owner| owner.uid == new))
    };
    world.until::<Secret>("shop", renewed).await;
    let (after, _) = world.secret("shop").await;
    assert_eq!(after.uid(), before.uid());
    assert!(after.annotations()[OWNER].ends_with(&new));
    assert_eq!(world.requests(), 1);
    // Where the ownerReference is restored with its former uid, garbage collection may be faster.
    let former = before.owner_references()[0].uid.clone();
    let patch = format!(
        r#"{{"metadata": {{"ownerReferences": [{{"apiVersion": "tokenward.dev/v1alpha1",
            "kind": "OAuthClientToken", "name": "shop", "uid": "{former}", "controller": true}}]}}}}"#
    );
    world.patch("secret/shop", &patch);
    world.until::<Secret>("shop", renewed).await;
    world.until_ready("shop").await;
    assert!(world.requests() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_does_not_take_a_secret_from_a_token_that_wants_it() {
    let world = World::new("consent").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.kubectl(&["annotate", "secret", "shop", "tokenward.dev/allow=other"]);
    world.apply(&aiming("other", "shop"));
    let message = world.until_condition("other", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("OAuthClientToken \"shop\""), "{message}");
    // Nor from one that keeps it by annotation only.
    retain(&world, "Retain");
    until_referred(&world, false).await;
    let first = |message: &str| message.contains("OAuthClientToken \"shop\", which came first");
    world.until_status("other", |status| status.conditions.iter().any(|c| first(&c.message))).await;
    assert_eq!(world.requests(), 1);
    // Another controller's is nobody's without consent.
    world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: boss}}");
    let uid = world.kubectl(&["get", "configmap", "boss", "-o", "jsonpath={.metadata.uid}"]);
    world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: bosses, ownerReferences: \
         [{{apiVersion: v1, kind: ConfigMap, name: boss, uid: \"{uid}\", controller: true}}]}}}}"
    ));
    for policy in ["Owner", "Merge"] {
        let name = policy.to_lowercase();
        world.apply(&token(
            &name,
            &format!("{SPEC}, target: {{secretName: bosses, creationPolicy: {policy}}}"),
        ));
    }
    for name in ["owner", "merge"] {
        let message = world.until_condition(name, (READY, "False", "SecretNotOwned")).await;
        assert!(message.contains("ConfigMap \"boss\""), "{message}");
    }
    assert_eq!(world.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_from_another_namespace_is_nobodys_without_consent() {
    let world = World::new("copied").await;
    let _operator = world.operator(&[]);
    provider(&world);
    world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: shop, annotations: \
         {{{OWNER}: OAuthClientToken/prod/shop/x}}}}}}"
    ));
    world.apply(&aiming("shop", "shop"));
    world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert_eq!(world.requests(), 0);
    world.kubectl(&["annotate", "secret", "shop", "tokenward.dev/allow=shop"]);
    world.until_ready("shop").await;
    assert!(world.secret("shop").await.0.annotations()[OWNER].contains(&world.namespace));
}
