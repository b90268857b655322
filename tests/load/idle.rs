//! An operator with nothing to do, and what is shipped.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::harness::program;
use crate::spread::{float, milliseconds};
use crate::stage::Stage;

/// Until a process has come to rest.
const REST: Duration = Duration::from_secs(2);
/// Where `make image` leaves it.
const IMAGE: &str = "target/image/tokenward.tar";

/// Its size, its start and its memory.
pub async fn run(stage: &Stage) {
    let megabytes = |path: &Path| {
        let bytes = std::fs::metadata(path).ok()?.len();
        Some((float(usize::try_from(bytes).ok()?) / 1e6, "MB"))
    };
    stage.note_of_machine("size/binary", megabytes(&program()).unwrap());
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join(IMAGE);
    if let Some(size) = megabytes(&image) {
        stage.note_of_machine("size/image", size);
    }
    // The first start of all makes the digest's key.
    let first = stage.start();
    first.until_filled().await;
    first.operator.terminate().await;

    let mut actor = stage.start();
    actor.until_filled().await;
    sleep(REST).await;
    actor.audit.read();
    let first = actor.audit.requests.iter().find(|request| request.verb == "watch").unwrap();
    let took = milliseconds(first.received - actor.started);
    stage.note_of_machine("idle/start-to-first-watch", (took, "ms"));
    let memory = actor.process.memory();
    stage.note_of_machine("idle/resident", (memory.resident, "MiB"));
    stage.note_of_machine("idle/anonymous", (memory.anonymous, "MiB"));
    actor.operator.terminate().await;
}
