//! From arguments to validated settings. Every default is here.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::oauth::{AddressPolicy, Cidr, Timeouts, TransportSettings};
use crate::runtime::{LeaseSettings, LeaseTimes, LogFormat, LogSettings, OtlpEndpoint};
use crate::watch::{AllowedHost, Lists, NamespacedProviders, ProviderPolicy, Scope, WatchSettings};

/// Resolving and connecting to a provider, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole token request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Those of Kubernetes' own controllers: an API server that is away for less deposes nobody.
const LEASE: LeaseTimes = LeaseTimes {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

/// Where the platform's own credentials lie where there is no operator with a namespace of its
/// own.
pub const PLATFORM_NAMESPACE: &str = "default";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// Allow plain http token endpoints
    #[arg(long, global = true, env = "TOKENWARD_ALLOW_HTTP")]
    pub allow_http: bool,
    /// Let token requests go to addresses that the guard refuses (repeatable), e.g. 10.20.0.0/16
    #[arg(
        long,
        global = true,
        value_name = "CIDR",
        env = "TOKENWARD_EGRESS_ALLOW_CIDR",
        value_delimiter = ','
    )]
    pub egress_allow_cidr: Vec<Cidr>,
    /// How log lines look
    #[arg(long, global = true, env = "TOKENWARD_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or directives as info,kube=debug. At trace
    /// only tokenward itself is heard: below debug, libraries would log what must stay secret
    #[arg(long, global = true, env = "TOKENWARD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Longest time that one token request may take, in seconds
    #[arg(long, global = true, value_name = "SECONDS", env = "TOKENWARD_REQUEST_TIMEOUT", default_value_t = REQUEST_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=120))]
    pub request_timeout: u64,
}

impl CommonArgs {
    /// What is logged.
    pub fn logs(&self) -> LogSettings {
        LogSettings { format: self.log_format, filter: self.log_level.clone() }
    }

    /// What token requests are allowed to do.
    pub fn transport(&self) -> TransportSettings {
        let total = Duration::from_secs(self.request_timeout);
        TransportSettings {
            allow_http: self.allow_http,
            addresses: AddressPolicy {
                allowed: self.egress_allow_cidr.clone(),
                api_server: vec![],
            },
            timeouts: Timeouts { connect: CONNECT_TIMEOUT.min(total), total },
        }
    }
}

/// Flags of what keeps tokens fresh, for those who follow it.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// Send a trace of each refresh to this OpenTelemetry collector, by OTLP over HTTP below
    /// `/v1/traces`; nowhere by default
    #[arg(long, value_name = "URL", env = "TOKENWARD_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

impl TraceArgs {
    /// The collector that was named. What was named wrongly may hold a password: it is not repeated.
    pub fn collector(&self) -> Result<Option<OtlpEndpoint>, String> {
        let parsed = self.otlp_endpoint.as_deref().map(str::parse).transpose();
        parsed.map_err(|error: String| format!("--otlp-endpoint: {error}"))
    }
}

/// Flags of `controller`.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// Work in this namespace only (repeatable); all namespaces by default
    #[arg(long, value_name = "NS", env = "TOKENWARD_NAMESPACE", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// With --namespace: use cluster kinds all the same
    #[arg(long, env = "TOKENWARD_CLUSTER_KINDS")]
    pub cluster_kinds: bool,
    /// Where the platform's own credentials and the digest key lie; the operator's namespace by
    /// default
    #[arg(long, value_name = "NS", env = "TOKENWARD_CLUSTER_RESOURCE_NAMESPACE")]
    pub cluster_resource_namespace: Option<String>,
    /// How caches are filled at a start
    #[arg(long, value_name = "HOW", env = "TOKENWARD_LISTS", default_value = "Paged")]
    pub lists: Lists,
    /// What a namespace's own OAuthProviders may be
    #[arg(
        long,
        value_name = "HOW",
        env = "TOKENWARD_NAMESPACED_PROVIDERS",
        default_value = "Allow"
    )]
    pub namespaced_providers: NamespacedProviders,
    /// With CatalogueOnly: hosts that their variables may name (repeatable), as login.example.com
    /// or *.example.com
    #[arg(long, value_name = "HOST", env = "TOKENWARD_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<AllowedHost>,
    /// Which of several acts
    #[command(flatten)]
    pub election: ElectionArgs,
    /// Serve /livez, /readyz and /metrics at this address, as 0.0.0.0:8080; nowhere by default
    #[arg(long, value_name = "IP:PORT", env = "TOKENWARD_ADMIN_ADDRESS")]
    pub admin_address: Option<SocketAddr>,
    /// Who follows it
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// Flags of `controller` for more than one of them.
#[derive(Args, Clone, Debug)]
pub struct ElectionArgs {
    /// Act only while holding a Lease, so that several can run and one acts
    #[arg(long, env = "TOKENWARD_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Where the Lease is; --cluster-resource-namespace by default
    #[arg(long, value_name = "NS", env = "TOKENWARD_LEADER_ELECTION_NAMESPACE")]
    pub leader_election_namespace: Option<String>,
    /// Others take over when the Lease was not renewed for so long
    #[arg(long, value_name = "SECONDS", env = "TOKENWARD_LEADER_ELECTION_LEASE_DURATION", default_value_t = LEASE.duration.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub leader_election_lease_duration: u64,
    /// A leader that could not renew the Lease for so long begins nothing any more
    #[arg(long, value_name = "SECONDS", env = "TOKENWARD_LEADER_ELECTION_RENEW_DEADLINE", default_value_t = LEASE.renew_deadline.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub leader_election_renew_deadline: u64,
    /// The Lease is renewed, or tried for, this often
    #[arg(long, value_name = "SECONDS", env = "TOKENWARD_LEADER_ELECTION_RETRY_PERIOD", default_value_t = LEASE.retry_period.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub leader_election_retry_period: u64,
}

impl ElectionArgs {
    fn times(&self) -> Result<LeaseTimes, String> {
        let (duration, deadline) =
            (self.leader_election_lease_duration, self.leader_election_renew_deadline);
        let retry = self.leader_election_retry_period;
        if deadline >= duration {
            return Err(format!(
                "--leader-election-renew-deadline ({deadline}) must be less than \
                 --leader-election-lease-duration ({duration}): a leader has to stop before another begins"
            ));
        }
        if retry >= deadline {
            return Err(format!(
                "--leader-election-retry-period ({retry}) must be less than \
                 --leader-election-renew-deadline ({deadline}): a renewal that fails is tried again"
            ));
        }
        Ok(LeaseTimes {
            duration: Duration::from_secs(duration),
            renew_deadline: Duration::from_secs(deadline),
            retry_period: Duration::from_secs(retry),
        })
    }
}

/// Validated settings of `controller`.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// What token requests may do.
    pub transport: TransportSettings,
    /// Where probes and metrics are served.
    pub admin_address: Option<SocketAddr>,
    lease: Option<(Option<String>, LeaseTimes)>,
    scopes: Vec<Scope>,
    cluster_kinds: bool,
    cluster_resource_namespace: Option<String>,
    providers: ProviderPolicy,
    lists: Lists,
}

impl ControllerArgs {
    /// Checks the arguments.
    pub fn validate(self, common: &CommonArgs) -> Result<ControllerSettings, String> {
        let mut namespaces = self.namespace;
        let election = self.election;
        let times = election.times()?;
        let named = [&self.cluster_resource_namespace, &election.leader_election_namespace];
        for namespace in namespaces.iter().chain(named.into_iter().flatten()) {
            if !is_namespace(namespace) {
                return Err(format!(
                    "{namespace:?} is not a namespace's name: lower-case letters, digits and -, at most 63"
                ));
            }
        }
        namespaces.sort();
        namespaces.dedup();
        let everywhere = namespaces.is_empty();
        Ok(ControllerSettings {
            transport: common.transport(),
            admin_address: self.admin_address,
            lease: election.leader_elect.then_some((election.leader_election_namespace, times)),
            cluster_kinds: everywhere || self.cluster_kinds,
            scopes: match everywhere {
                true => vec![Scope::All],
                false => namespaces.into_iter().map(Scope::Namespace).collect(),
            },
            cluster_resource_namespace: self.cluster_resource_namespace,
            providers: ProviderPolicy {
                namespaced: self.namespaced_providers,
                allowed_hosts: self.allowed_hosts,
            },
            lists: self.lists,
        })
    }
}

impl ControllerSettings {
    /// What is watched, by an operator whose own namespace is `own`.
    pub fn watch(&self, own: &str) -> WatchSettings {
        let namespace = self.cluster_resource_namespace.clone();
        WatchSettings {
            scopes: self.scopes.clone(),
            cluster_kinds: self.cluster_kinds,
            cluster_resource_namespace: namespace.unwrap_or_else(|| own.to_owned()),
            providers: self.providers.clone(),
            lists: self.lists,
        }
    }

    /// The Lease to be held, where that is asked for, by an operator whose credentials and keys are
    /// in `home`.
    pub fn lease(&self, home: &str) -> Option<LeaseSettings> {
        let (namespace, times) = self.lease.clone()?;
        Some(LeaseSettings { namespace: namespace.unwrap_or_else(|| home.to_owned()), times })
    }
}

/// Flags of `release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// Look in this namespace only (repeatable); in all namespaces by default
    #[arg(long, value_name = "NS", env = "TOKENWARD_NAMESPACE", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// First scale this Deployment, which runs the controller, to nothing, and wait until its pods
    /// are gone
    #[arg(long, value_name = "NS/NAME", env = "TOKENWARD_STOP")]
    pub stop: Option<DeploymentRef>,
}

/// A Deployment, as `NAMESPACE/NAME`.
#[derive(Clone, Debug)]
pub struct DeploymentRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for DeploymentRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if is_namespace(namespace) && !name.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("say which as NAMESPACE/NAME".to_owned()),
        }
    }
}

impl fmt::Display for DeploymentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Flags of `local`.
#[derive(Args, Clone, Debug)]
pub struct LocalArgs {
    /// Directories (or files) with manifests
    #[arg(required = true, value_name = "DIR")]
    pub paths: Vec<PathBuf>,
    /// Where targets are written
    #[arg(long, value_name = "OUT", env = "TOKENWARD_OUT")]
    pub out: PathBuf,
    /// Fetch what is due and end: 0 if every token is good, else 1
    #[arg(long, env = "TOKENWARD_ONCE")]
    pub once: bool,
    /// Who follows it
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// A DNS-1123 label.
fn is_namespace(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        controller: ControllerArgs,
    }

    fn settings(args: &[&str]) -> Result<ControllerSettings, String> {
        let args = Args::parse_from(std::iter::once(&"tokenward").chain(args));
        args.controller.validate(&args.common)
    }

    #[test]
    fn everything_is_watched_by_default() {
        let watch = settings(&[]).unwrap().watch("own");
        assert_eq!(watch.scopes, [Scope::All]);
        assert!(watch.cluster_kinds);
        assert_eq!(watch.cluster_resource_namespace, "own");
    }

    #[test]
    fn named_namespaces_leave_cluster_kinds_off_unless_asked_for() {
        let watch = settings(&["--namespace", "b", "--namespace", "a,b"]).unwrap().watch("own");
        assert_eq!(watch.scopes, [Scope::Namespace("a".into()), Scope::Namespace("b".into())]);
        assert!(!watch.cluster_kinds);
        let args =
            ["--namespace", "a", "--cluster-kinds", "--cluster-resource-namespace", "platform"];
        let watch = settings(&args).unwrap().watch("own");
        assert!(watch.cluster_kinds);
        assert_eq!(watch.cluster_resource_namespace, "platform");
    }

    #[test]
    fn a_lease_is_held_where_it_is_asked_for() {
        assert_eq!(settings(&[]).unwrap().lease("own"), None);
        let own = LeaseSettings { namespace: "own".to_owned(), times: LEASE };
        assert_eq!(settings(&["--leader-elect"]).unwrap().lease("own"), Some(own));
        let elsewhere = ["--leader-elect", "--leader-election-namespace", "leases"];
        let lease = settings(&elsewhere).unwrap().lease("own");
        assert_eq!(lease.unwrap().namespace, "leases");
    }

    #[test]
    fn a_leader_that_would_stop_too_late_is_refused() {
        let told = settings(&["--leader-election-lease-duration", "10"]).unwrap_err();
        assert!(told.contains("--leader-election-renew-deadline (10) must be less"), "{told}");
        let told = settings(&["--leader-election-retry-period", "10"]).unwrap_err();
        assert!(told.contains("--leader-election-retry-period (10) must be less"), "{told}");
    }

    #[test]
    fn a_namespace_that_is_none_is_refused_by_name() {
        assert!(settings(&["--namespace", "Web_1"]).unwrap_err().contains("Web_1"));
    }
}
