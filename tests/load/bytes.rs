//! What goes over the wire to and from the API server.

use std::time::Duration;

use chrono::Utc;
use tokio::time::sleep;

use crate::spread::float;
use crate::stage::Stage;

/// Until what a start brings is over.
const START: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(20);

/// Starts an operator behind something that counts, and looks at its refreshes: TLS, watches and
/// all. An operator of its own, for what passes bytes on takes time.
pub async fn run(stage: &Stage) {
    let (mut actor, proxy) = stage.start_counted().await;
    actor.until_filled().await;
    sleep(START).await;
    let (from, carried) = (Utc::now(), proxy.carried());
    sleep(WINDOW).await;
    let (to, carried) = (Utc::now(), proxy.carried() - carried);
    actor.audit.read();
    let written = actor.audit.between(from, to).filter(|request| request.writes_target()).count();
    let carried = float(usize::try_from(carried).unwrap()) / 1024.0;
    stage.note("steady/api-bytes-per-refresh", (carried / float(written), "KiB"));
    // Connections end in the order in which they began.
    actor.operator.terminate().await;
}
