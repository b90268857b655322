//! A network between an operator and the API server, which can be cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::config::Kubeconfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It arrives.
    Open,
    /// Nothing arrives, and nobody is told: as with a cable that is pulled.
    Silent,
    /// Connections break, new ones are ended at once: as with a server that is gone.
    Broken,
}

/// Passes connections on, as long as it is open.
pub struct Proxy {
    address: SocketAddr,
    passage: Arc<watch::Sender<Passage>>,
    carried: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// One in front of the API server that a kubeconfig leads to.
    pub async fn to_api_server(kubeconfig: &Path) -> Self {
        let server = server(kubeconfig);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (passage, seen) = watch::channel(Passage::Open);
        let carried = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&carried);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *seen.borrow() != Passage::Broken {
                    let line = Line { passage: seen.clone(), carried: Arc::clone(&counted) };
                    tokio::spawn(connect(near, server, line));
                }
            }
        });
        Self { address, passage: Arc::new(passage), carried, accepting }
    }

    /// Bytes that were passed on so far, both ways.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// From now on.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// Writes the same kubeconfig for whoever is to be behind this.
    pub fn kubeconfig(&self, kubeconfig: &Path, folder: &Path) -> PathBuf {
        let mut config = Kubeconfig::read_from(kubeconfig).unwrap();
        for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
            cluster.server = Some(format!("https://{}", self.address));
        }
        let path = folder.join("kubeconfig");
        std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
        path
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Passage::Broken);
    }
}

fn server(kubeconfig: &Path) -> SocketAddr {
    let config = Kubeconfig::read_from(kubeconfig).unwrap();
    let url = config.clusters[0].cluster.as_ref().unwrap().server.as_ref().unwrap();
    let url: http::Uri = url.parse().unwrap();
    format!("{}:{}", url.host().unwrap(), url.port_u16().unwrap_or(443)).parse().unwrap()
}

/// What all connections share.
#[derive(Clone)]
struct Line {
    passage: watch::Receiver<Passage>,
    carried: Arc<AtomicU64>,
}

async fn connect(near: TcpStream, server: SocketAddr, line: Line) {
    let mut broken = line.passage.clone();
    let conversation = async {
        until_open(&mut line.passage.clone()).await;
        let Ok(far) = TcpStream::connect(server).await else { return };
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) =
            (near.into_split(), far.into_split());
        tokio::join!(
            carry((&mut near_in, &mut far_out), line.clone()),
            carry((&mut far_in, &mut near_out), line.clone())
        );
    };
    tokio::select! {
        () = conversation => {}
        _ = broken.wait_for(|passage| *passage == Passage::Broken) => {}
    }
}

async fn carry(
    (from, to): (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    mut line: Line,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or_default();
        // What is on its way when it is cut does not arrive before it is open again.
        until_open(&mut line.passage).await;
        line.carried.fetch_add(read as u64, Ordering::Relaxed);
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            // The other direction learns of it by itself.
            let _ = to.shutdown().await;
            return;
        }
    }
}

async fn until_open(passage: &mut watch::Receiver<Passage>) {
    // Its sender is gone with the test.
    let _ = passage.wait_for(|passage| *passage == Passage::Open).await;
}
