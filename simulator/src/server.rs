//! The accept loop and the wire: an own loop, so that a connection can be dropped and a body can be
//! slow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming as Body};
use hyper::header::{DATE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock::{after, http_date};
use crate::control;
use crate::exchange::{self, Exchange};
use crate::faults::{DateHeader, Manner};
use crate::incoming::Incoming;
use crate::scripted::Scripted;
use crate::state::State;
use crate::systems::Refusal;

/// More than any token request or setting needs.
const LARGEST_BODY: usize = 1024 * 1024;
/// Time for the bytes before a cut to leave the machine.
const FLUSH: Duration = Duration::from_millis(20);
/// Bytes in one chunk of a long body.
const CHUNK: usize = 64 * 1024;

/// The connection ends here, without (the rest of) an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped")]
struct Dropped;

type Answer = Response<BoxBody<Bytes, io::Error>>;

/// Accepts until it is aborted; with it end all connections, for the set owns their tasks.
pub(crate) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&state)));
                }
                // Out of descriptors, most likely; some connection has to end first.
                Err(_) => tokio::time::sleep(FLUSH).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<State>) {
    // Without this a slow body would be gathered into larger packets. It fails only on a connection
    // that is gone.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => exchanges(stream, state).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                exchanges(stream, state).await;
            }
        }
    }
}

async fn exchanges(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(|request| handle(Arc::clone(&state), request));
    // The simulator writes `Date` itself. How a connection ends is the client's business, or the
    // fault's.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn handle(state: Arc<State>, request: Request<Body>) -> Result<Answer, Dropped> {
    let exchange = match read(request).await? {
        Read::Whole(request) if request.path == control::REDIRECTED => {
            exchange::redirected(&state, &request)
        }
        Read::Whole(request) if request.path.starts_with(control::PREFIX) => Exchange {
            reply: control::answer(&state, &request),
            delivery: crate::faults::Delivery::default(),
            number: None,
        },
        Read::Whole(request) => exchange::answer(&state, &request).map_err(|_| Dropped)?,
        Read::TooLarge(request) => {
            exchange::refuse_unrouted(&state, &request, &Refusal::too_large())
        }
    };
    let mut under_way = UnderWay { state: &state, number: exchange.number, answered: false };
    let answer = deliver(&state, exchange).await;
    under_way.answered = true;
    answer
}

/// Dropped, a request is over: its answer is about to be given, or the client is gone.
struct UnderWay<'a> {
    state: &'a State,
    number: Option<u64>,
    answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.state.log.end(number, (self.state.clock.now(), !self.answered));
        }
    }
}

enum Read {
    Whole(Incoming),
    /// The body is left out.
    TooLarge(Incoming),
}

async fn read(request: Request<Body>) -> Result<Read, Dropped> {
    let (head, body) = request.into_parts();
    let mut incoming = Incoming {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body: Bytes::new(),
    };
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => {
            incoming.body = body.to_bytes();
            Ok(Read::Whole(incoming))
        }
        Err(error) if error.is::<LengthLimitError>() => Ok(Read::TooLarge(incoming)),
        Err(_) => Err(Dropped),
    }
}

async fn deliver(state: &State, exchange: Exchange) -> Result<Answer, Dropped> {
    let Exchange { reply, delivery, .. } = exchange;
    if !delivery.delay.is_zero() {
        tokio::time::sleep(delivery.delay).await;
    }
    let body = match delivery.manner {
        Manner::Hang => std::future::pending().await,
        Manner::Drop => return Err(Dropped),
        Manner::Whole => Full::new(reply.body).map_err(|never| match never {}).boxed(),
        Manner::BytePer(pause) => Scripted::paced(reply.body, 1, pause).boxed(),
        Manner::Chunked => Scripted::chunked(reply.body, CHUNK).boxed(),
        Manner::DropMidBody => Scripted::cut(&reply.body, FLUSH).boxed(),
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = reply.status;
    for (name, value) in reply.headers {
        // A fault may ask for a value that no header can have; then the connection ends, which is a
        // fault as well.
        answer.headers_mut().append(name, HeaderValue::from_str(&value).map_err(|_| Dropped)?);
    }
    let now = state.clock.now();
    let date = match delivery.date {
        DateHeader::Right => Some(now),
        DateHeader::Skewed(seconds) => Some(after(now, seconds)),
        DateHeader::Absent => None,
    };
    if let Some(value) = date.and_then(|date| HeaderValue::from_str(&http_date(date)).ok()) {
        answer.headers_mut().insert(DATE, value);
    }
    Ok(answer)
}
