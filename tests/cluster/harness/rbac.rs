//! What the operator may do beyond its base rules: the files of deploy/, in one namespace only.

use std::sync::atomic::Ordering;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::cluster::kubectl;
use super::{OPERATOR_NAMESPACE, PATIENCE, World};

/// A right: verb, group, resource, subresource and name.
pub type Right<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

/// What the finalizer needs.
pub const FINALIZER: Right<'static> = ("patch", "tokenward.dev", "oauthclienttokens", "", "");

impl World {
    /// Lets the operator set and remove finalizers here, as the shipped file does everywhere.
    pub async fn grant_revocation(&self) {
        self.holds.store(true, Ordering::SeqCst);
        self.grant_here("revocation");
        self.until_allowed(FINALIZER, true).await;
    }

    /// Lets the operator restart workloads and nudge pods here.
    pub async fn grant_workloads(&self) {
        self.grant_here("workloads");
        self.until_allowed(("patch", "apps", "deployments", "", ""), true).await;
        self.until_allowed(("list", "", "pods", "", ""), true).await;
    }

    /// Binds the role of a shipped file in this namespace only.
    fn grant_here(&self, role: &str) {
        let rules = shipped(&format!("rbac-{role}.yaml"));
        let binding = format!("kind: ClusterRoleBinding\nmetadata:\n  name: tokenward-{role}\n");
        assert!(rules.contains(&binding), "{rules}");
        let here = format!(
            "kind: RoleBinding\nmetadata:\n  name: tokenward-{role}\n  namespace: {}\n",
            self.namespace
        );
        kubectl(&["apply", "--server-side", "-f", "-"], &rules.replace(&binding, &here));
    }

    /// Lets operators hold their Lease here instead of in their own namespace.
    pub async fn grant_lease(&self) {
        let rules = shipped("rbac.yaml");
        let election = "name: tokenward-leader-election\n  namespace: ";
        let rules: Vec<String> = rules
            .split("---\n")
            .filter(|document| document.contains(election))
            .map(|document| {
                let own = format!("{election}{OPERATOR_NAMESPACE}");
                document.replace(&own, &format!("{election}{}", self.namespace))
            })
            .collect();
        assert_eq!(rules.len(), 2, "a Role and its binding");
        kubectl(&["apply", "-f", "-"], &rules.join("---\n"));
        let update = ("update", "coordination.k8s.io", "leases", "", "tokenward");
        self.until_allowed(update, true).await;
    }

    /// Takes that away.
    pub async fn withdraw_revocation(&self) {
        self.kubectl(&["delete", "rolebinding", "tokenward-revocation"]);
        self.until_allowed(FINALIZER, false).await;
    }

    /// Lets the operator ask for tokens of one ServiceAccount, as the shipped example does.
    pub async fn grant_tokens_of(&self, account: &str) {
        let rules = shipped("rbac-service-account.yaml")
            .replace("namespace: web", &format!("namespace: {}", self.namespace))
            .replace("[\"shop\"]", &format!("[{account}]"));
        kubectl(&["apply", "-f", "-"], &rules);
        self.until_allowed(("create", "", "serviceaccounts", "token", account), true).await;
    }

    /// Waits until the API server lets the operator do something here, or does not.
    pub async fn until_allowed(&self, right: Right<'_>, allowed: bool) {
        let account = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:tokenward");
        let until = async {
            while self.may(&account, right).await != allowed {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, until).await.expect("RBAC did not take effect");
    }

    async fn may(&self, user: &str, (verb, group, resource, subresource, name): Right<'_>) -> bool {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: text(user),
                resource_attributes: Some(ResourceAttributes {
                    namespace: text(&self.namespace),
                    verb: text(verb),
                    group: text(group),
                    resource: text(resource),
                    subresource: text(subresource),
                    name: text(name),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    }
}

fn shipped(file: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    std::fs::read_to_string(path).unwrap()
}
