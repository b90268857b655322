//! What the suite is told of the cluster, by whoever starts it.

use std::path::PathBuf;

/// The variables `TOKENWARD_E2E_…`; `KUBECONFIG` is kubectl's and Helm's own.
pub struct Settings {
    /// `KUBECTL`
    pub kubectl: String,
    /// `HELM`
    pub helm: String,
    /// `PREVIOUS`: the packaged chart that is installed first.
    pub previous: String,
    /// `CHART`: the one that it is upgraded to.
    pub chart: String,
    /// `SIMULATOR`: the image of provider-simulator and token-consumer.
    pub simulator: String,
    /// `RESTART_API_SERVER`: a command for bash that ends the API server and comes back when another
    /// one answers.
    pub restart_api_server: String,
    /// `KILL_POD`: a command for bash that ends the operator's process in the pod whose UID is in the
    /// variable `POD_UID`, with SIGKILL.
    pub kill_pod: String,
    /// `OUT`: a folder for the list of all uses.
    pub out: PathBuf,
}

impl Settings {
    pub fn read() -> Self {
        let get = |name: &str| {
            let name = format!("TOKENWARD_E2E_{name}");
            std::env::var(&name)
                .unwrap_or_else(|_| panic!("{name} is not set; `make e2e` sets all of them"))
        };
        Self {
            kubectl: get("KUBECTL"),
            helm: get("HELM"),
            previous: get("PREVIOUS"),
            chart: get("CHART"),
            simulator: get("SIMULATOR"),
            restart_api_server: get("RESTART_API_SERVER"),
            kill_pod: get("KILL_POD"),
            out: get("OUT").into(),
        }
    }
}
