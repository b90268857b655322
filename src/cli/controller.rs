//! `tokenward controller`.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Config;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tracing::info;

use super::{Failure, block_on};
use crate::act::Tools;
use crate::clock::Clock;
use crate::controller::{self, Instruments, Place};
use crate::oauth::{Digester, Transport};
use crate::runtime::{
    Access, Admin, Candidacy, Chance, Election, init_telemetry, stop_signal, wait_for_key,
};
use crate::settings::{CommonArgs, ControllerArgs, ControllerSettings};
use crate::watch::look_after_crds;

pub(super) fn run(common: &CommonArgs, args: ControllerArgs) -> Result<(), Failure> {
    let collector = args.trace.collector().map_err(Failure::Usage)?;
    let _traces = init_telemetry(&common.logs(), collector.as_ref()).map_err(Failure::Usage)?;
    let settings = args.validate(common).map_err(Failure::Usage)?;
    block_on(serve(settings))
}

async fn serve(settings: ControllerSettings) -> Result<(), Failure> {
    let stopping = stop_signal().map_err(|error| Failure::Failed(error.to_string()))?;
    let config = Config::infer().await.map_err(|error| {
        Failure::Usage(format!("no cluster is configured: {error}; set KUBECONFIG or run in a pod"))
    })?;
    let watch = settings.watch(&config.default_namespace);
    let mut transport = settings.transport.clone();
    transport.addresses.api_server = api_server(&config).await?;
    let clock = Clock::system();
    let instruments = Instruments::new(&clock);
    if let Some(address) = settings.admin_address {
        admin(&instruments, address).await?;
    }
    let requests = instruments.metrics.api_requests.clone();
    let access =
        Access::new(config, requests).map_err(|error| Failure::Failed(error.to_string()))?;
    let readiness = &instruments.readiness;
    let looks = look_after_crds(access.client.clone(), readiness.clone(), watch.cluster_kinds);
    tokio::spawn(looks);
    let key = wait_for_key(&access.client, &watch.cluster_resource_namespace, readiness);
    let key = tokio::select! {
        key = key => key.map_err(Failure::Failed)?,
        () = stopping.cancelled() => return Ok(()),
    };
    let chance = Chance::system();
    let candidacy = match settings.lease(&watch.cluster_resource_namespace) {
        Some(lease) => {
            let election = Election::new(&access.client, &lease, (&chance, readiness));
            Candidacy::Elected(Box::new(election))
        }
        None => Candidacy::Unopposed,
    };
    let tools = Tools {
        transport: Arc::new(Transport::new(transport, clock.clone())),
        digester: Arc::new(Digester::new(&key)),
        clock,
        chance,
        stopping,
        lead: candidacy.lead(),
    };
    info!(version = env!("CARGO_PKG_VERSION"), scopes = ?watch.scopes, "tokenward starts");
    controller::run(Place { access, watch, candidacy }, tools, instruments).await;
    info!("tokenward has ended");
    Ok(())
}

/// Tells of the process on a port of its own.
async fn admin(instruments: &Instruments, address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(format!("--admin-address: nobody can listen on {address}: {error}"))
    })?;
    let mut metrics = Registry::with_prefix("tokenward");
    instruments.metrics.register(&mut metrics);
    metrics.register_collector(Box::new(Arc::clone(&instruments.census)));
    let readiness = instruments.readiness.clone();
    let address = listener.local_addr().unwrap_or(address);
    tokio::spawn(Arc::new(Admin { readiness, metrics }).serve(listener));
    info!(%address, "probes and metrics are served");
    Ok(())
}

/// Where the API server listens: token requests never go there.
pub(super) async fn api_server(config: &Config) -> Result<Vec<SocketAddr>, Failure> {
    let url = &config.cluster_url;
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    let addresses = tokio::net::lookup_host((host.as_str(), port)).await.map_err(|error| {
        Failure::Failed(format!("the API server's host {host:?} cannot be resolved: {error}"))
    })?;
    Ok(addresses.collect())
}
