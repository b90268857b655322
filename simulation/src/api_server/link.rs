//! The way from one process to the API server and back: late, lossy, and closed once that process
//! has crashed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, unfold};
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use kube::client::Body;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::ask::{Ask, Reply};
use crate::process::Process;
use crate::sabotage::{Sabotage, disguise};
use crate::weather::Fate;
use crate::world::World;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Frame = Result<http_body::Frame<Bytes>, Infallible>;
type Answer = Either<Full<Bytes>, StreamBody<BoxStream<'static, Frame>>>;

/// One process's way.
#[derive(Clone)]
pub struct Link {
    /// Where it leads.
    pub world: Arc<World>,
    /// Whose it is.
    pub process: Arc<Process>,
}

impl tower::Service<Request<Body>> for Link {
    type Response = Response<Answer>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().carry(request))
    }
}

impl Link {
    async fn carry(self, request: Request<Body>) -> Result<Response<Answer>, Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let ask = Ask::of(&parts, &body).ok_or("not a path of the API")?;
        let fate = self.process.api_fate(&self.world);
        self.process.pass(&self.world, "asks").await;
        if let Some(trouble) = fate.trouble {
            let (process, what) = (self.process.number, ask.in_short());
            self.world.note(&format!("{process} {what}: {trouble:?}"));
        }
        sleep(fate.there).await;
        self.process.pass(&self.world, "is heard").await;
        let answered = match fate.trouble {
            Some(Fate::Lost) => Err("the connection was reset".into()),
            Some(Fate::Refused(status)) => {
                answer(&Reply::refused(status, "Trouble", "there is trouble"))
            }
            Some(Fate::Silent) => {
                sleep(Duration::from_mins(2)).await;
                Err("the connection was reset".into())
            }
            None | Some(Fate::Unheard) if ask.is_watch() => self.watch(&ask),
            None | Some(Fate::Unheard) => {
                let reply = self.world.ask(&ask, Some(&self.process));
                answer(&reply)
            }
        };
        sleep(fate.back).await;
        self.process.pass(&self.world, "hears").await;
        match fate.trouble {
            Some(Fate::Unheard) => Err("the connection was reset".into()),
            _ => answered,
        }
    }

    fn watch(&self, ask: &Ask) -> Result<Response<Answer>, Error> {
        let since = ask.parameter("resourceVersion").and_then(|version| version.parse().ok());
        let seconds = ask.parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(290));
        let lines = self.world.watch(&ask.at, since.unwrap_or_default(), ask.metadata_only);
        let stream = unfold((lines, self.clone()), move |(lines, link)| next(lines, link, end));
        let body = StreamBody::new(stream.boxed());
        Ok(Response::builder()
            .header("content-type", "application/json")
            .body(Either::Right(body))?)
    }
}

/// The next line of a watch, late; until its time is over or it is cut.
async fn next(
    mut lines: UnboundedReceiver<Vec<u8>>,
    link: Link,
    end: Instant,
) -> Option<(Frame, (UnboundedReceiver<Vec<u8>>, Link))> {
    let line = timeout_at(end, lines.recv()).await.ok().flatten();
    sleep_until(Instant::now() + link.process.watch_delay()).await;
    link.process.pass(&link.world, "watches").await;
    let mut line = line?;
    if link.world.plan.sabotage == Some(Sabotage::NothingForeign) {
        let mut told: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
        disguise(&mut told["object"]);
        line = format!("{told}\n").into_bytes();
    }
    Some((Ok(http_body::Frame::data(Bytes::from(line))), (lines, link)))
}

fn answer(reply: &Reply) -> Result<Response<Answer>, Error> {
    let body = Full::new(Bytes::from(reply.text()));
    Ok(Response::builder()
        .status(reply.status)
        .header("content-type", "application/json")
        .body(Either::Left(body))?)
}
