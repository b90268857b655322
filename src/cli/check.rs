//! `tokenward check`: manifests judged without a cluster, and with `--fetch` tried out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::controller::api_server;
use super::{Failure, block_on, print, tell};
use crate::act::ClusterEdge;
use crate::check::{CheckSettings, Name, Setup, concerned, fetch, gather};
use crate::local::Source;
use crate::manifests::{Complaint, Manifests, Reading, cross_check, read};
use crate::oauth::TransportSettings;
use crate::runtime::{Access, ApiRequests};
use crate::settings::{CommonArgs, PLATFORM_NAMESPACE};

/// Flags of `check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Files with manifests, or directories of them
    #[arg(required_unless_present = "token", value_name = "FILE")]
    pub paths: Vec<PathBuf>,
    /// Where the platform's own credentials lie
    #[arg(
        long,
        value_name = "NS",
        env = "TOKENWARD_CLUSTER_RESOURCE_NAMESPACE",
        default_value = PLATFORM_NAMESPACE
    )]
    pub cluster_resource_namespace: String,
    /// Ask for each token once, and show what was sent, answered and understood, without what is
    /// secret. Nothing is written anywhere
    #[arg(long, env = "TOKENWARD_FETCH")]
    pub fetch: bool,
    /// With --fetch: ask for this token only (repeatable), and for those that it is made from.
    /// Errors of other objects do not matter then. Without FILE it is read from the cluster of
    /// KUBECONFIG, with your own rights, and so is what it is made from
    #[arg(
        long,
        value_name = "NS/NAME",
        env = "TOKENWARD_TOKEN",
        value_delimiter = ',',
        value_parser = name,
        requires = "fetch"
    )]
    pub token: Vec<Name>,
    /// With --token and no FILE: the kubeconfig of the cluster, in the place of KUBECONFIG
    #[arg(long, value_name = "FILE", conflicts_with = "paths", requires = "token")]
    pub kubeconfig: Option<PathBuf>,
    /// With --fetch: ask also where asking uses up what is in the Secret, as a refresh token that
    /// rotates. What the provider hands out instead is not kept
    #[arg(long, env = "TOKENWARD_SPEND_REFRESH_TOKEN", requires = "fetch")]
    pub spend_refresh_token: bool,
}

fn name(text: &str) -> Result<Name, String> {
    let parts = text.split_once('/').filter(|(namespace, name)| {
        !namespace.is_empty() && !name.is_empty() && !name.contains('/')
    });
    let (namespace, name) = parts.ok_or("NAMESPACE/NAME is needed")?;
    Ok((namespace.to_owned(), name.to_owned()))
}

/// Judges manifests and says what is wrong with them; with `--fetch`, tries them out.
pub(super) fn execute(common: &CommonArgs, args: &CheckArgs) -> Result<(), Failure> {
    if args.paths.is_empty() {
        return block_on(on_cluster(common, args));
    }
    let (report, manifests) = run(args);
    tell_all(&report)?;
    if !report.is_clean_for(args, &manifests) {
        return Err(Failure::Told);
    }
    if !args.fetch {
        return Ok(());
    }
    let source = Source::new(manifests, &args.cluster_resource_namespace);
    let setup = Setup { source, tokens: BTreeMap::new(), cluster: None };
    block_on(try_out(setup, (common.transport(), args)))
}

fn tell_all(report: &Report) -> Result<(), Failure> {
    for complaint in &report.complaints {
        tell(&complaint.to_string());
    }
    print(&format!("{}\n", report.summary()))
}

/// The same for tokens that are on a cluster already.
async fn on_cluster(common: &CommonArgs, args: &CheckArgs) -> Result<(), Failure> {
    if args.spend_refresh_token {
        let message =
            "--spend-refresh-token is for manifests: what a cluster holds is in use there";
        return Err(Failure::Usage(message.to_owned()));
    }
    let config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path);
            let kubeconfig = kubeconfig.map_err(|error| Failure::Usage(error.to_string()))?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.map_err(|error| Failure::Usage(error.to_string()))?
        }
        None => Config::infer().await.map_err(|error| {
            Failure::Usage(format!(
                "no cluster is configured: {error}; set KUBECONFIG or give FILE"
            ))
        })?,
    };
    let mut transport = common.transport();
    transport.addresses.api_server = api_server(&config).await?;
    let access = Access::new(config, ApiRequests::default())
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let platform = &args.cluster_resource_namespace;
    let gathered = gather(&access, &args.token, platform).await.map_err(Failure::Failed)?;
    let Reading { manifests, complaints } = gathered.reading;
    let report = Report { complaints, objects: manifests.checked() };
    tell_all(&report)?;
    if !report.is_clean_for(args, &manifests) {
        return Err(Failure::Told);
    }
    let source = Source::new(manifests, platform);
    let cluster = Some(ClusterEdge::new(access, Arc::default()));
    let setup = Setup { source, tokens: gathered.tokens, cluster };
    Box::pin(try_out(setup, (transport, args))).await
}

/// Asks for each token once and tells what came of it.
async fn try_out(
    setup: Setup,
    (transport, args): (TransportSettings, &CheckArgs),
) -> Result<(), Failure> {
    let settings = CheckSettings {
        transport,
        spend: args.spend_refresh_token,
        only: args.token.iter().cloned().collect(),
    };
    let stories = Box::pin(fetch(setup, settings)).await.map_err(Failure::Usage)?;
    for story in &stories {
        print(&format!("\n{story}"))?;
    }
    let bad = stories.iter().filter(|story| !story.is_good()).count();
    match (bad, stories.len()) {
        (_, 0) => Err(Failure::Usage("there is no OAuthClientToken to ask for".to_owned())),
        (0, _) => Ok(()),
        (bad, all) => {
            Err(Failure::Failed(format!("{bad} of {} could not be had", count(all, "token"))))
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
struct Report {
    /// For standard error, a line each.
    complaints: Vec<Complaint>,
    /// How many objects were looked at.
    objects: usize,
}

impl Report {
    /// For standard output: `3 objects checked: 1 error, 2 warnings`.
    fn summary(&self) -> String {
        let errors = self.complaints.iter().filter(|complaint| complaint.is_error()).count();
        let warnings = self.complaints.len() - errors;
        format!(
            "{} checked: {}, {}",
            count(self.objects, "object"),
            count(errors, "error"),
            count(warnings, "warning")
        )
    }

    /// Whether there is no error among the complaints.
    fn is_clean(&self) -> bool {
        !self.complaints.iter().any(Complaint::is_error)
    }

    /// Whether no error is about what was asked for.
    fn is_clean_for(&self, args: &CheckArgs, manifests: &Manifests) -> bool {
        if args.token.is_empty() {
            return self.is_clean();
        }
        let concerned = concerned(manifests, (&args.token, &args.cluster_resource_namespace));
        !self.complaints.iter().filter(|complaint| complaint.is_error()).any(|error| {
            // What is not known to be about another object may be about any.
            error.object.as_ref().is_none_or(|object| concerned.contains(object))
        })
    }
}

/// Reads and judges manifests.
fn run(args: &CheckArgs) -> (Report, Manifests) {
    let reading = read(&args.paths);
    let mut complaints = reading.complaints;
    complaints.extend(cross_check(&reading.manifests, &args.cluster_resource_namespace));
    let objects = reading.manifests.checked();
    (Report { complaints, objects }, reading.manifests)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(path: PathBuf) -> CheckArgs {
        CheckArgs {
            paths: vec![path],
            cluster_resource_namespace: "default".into(),
            fetch: false,
            token: vec![],
            kubeconfig: None,
            spend_refresh_token: false,
        }
    }

    fn check(text: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yaml");
        std::fs::write(&file, text).unwrap();
        run(&args(file)).0
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let report = check(
            "{apiVersion: v1, kind: Secret, metadata: {name: a}}\n---\n\
             {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n",
        );
        assert_eq!(report.summary(), "1 object checked: 0 errors, 1 warning");
        assert!(report.is_clean());
    }

    #[test]
    fn the_examples_have_nothing_wrong() {
        let mut objects = 0;
        for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
            let folder = folder.unwrap().path();
            // What is wrong there is shown by tests/local/check.rs.
            if folder.ends_with("broken") {
                continue;
            }
            let report = run(&args(folder)).0;
            assert_eq!(report.complaints, []);
            objects += report.objects;
        }
        assert!(objects > 10, "{objects}");
    }

    #[test]
    fn errors_and_missing_files_are_invalid_input() {
        let report = check("{apiVersion: v1, kind: Secret}\n");
        assert_eq!(report.summary(), "1 object checked: 1 error, 0 warnings");
        assert!(!report.is_clean());
        let report = run(&args("/no/such/file.yaml".into())).0;
        assert!(report.complaints[0].to_string().starts_with("/no/such/file.yaml: "));
        assert_eq!((report.objects, report.is_clean()), (0, false));
    }
}
