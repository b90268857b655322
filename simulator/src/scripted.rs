//! A body that comes in pieces, at a pace, and perhaps not to its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

pub(crate) struct Scripted {
    /// What is still to be sent, so many bytes at a time.
    rest: Bytes,
    size: usize,
    /// Waited before each piece and before a cut.
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    ending: Ending,
    /// What `Content-Length` promises; `None`: the body goes in chunks.
    length: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Cut,
}

impl Scripted {
    /// So many bytes at a time, with a pause before each; the length is announced.
    pub(crate) fn paced(body: Bytes, size: usize, pause: Duration) -> Self {
        Self {
            length: u64::try_from(body.len()).ok(),
            rest: body,
            size: size.max(1),
            pause,
            sleep: None,
            ending: Ending::Complete,
        }
    }

    /// At full speed, without a length.
    pub(crate) fn chunked(body: Bytes, size: usize) -> Self {
        Self { length: None, ..Self::paced(body, size, Duration::ZERO) }
    }

    /// Half of what was announced, and after a pause in which it can leave the machine, the end of
    /// the connection.
    pub(crate) fn cut(body: &Bytes, pause: Duration) -> Self {
        Self {
            rest: body.slice(..body.len() / 2),
            ending: Ending::Cut,
            ..Self::paced(body.clone(), body.len(), pause)
        }
    }

    fn next(&mut self) -> Option<Result<Frame<Bytes>, io::Error>> {
        match (self.rest.is_empty(), self.ending) {
            (false, _) => {
                let piece = self.rest.split_to(self.size.min(self.rest.len()));
                Some(Ok(Frame::data(piece)))
            }
            (true, Ending::Complete) => None,
            (true, Ending::Cut) => Some(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.pause.is_zero() {
            let pause = self.pause;
            let sleeping = self.sleep.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(sleeping.as_mut().poll(context));
            self.sleep = None;
        }
        Poll::Ready(self.next())
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.ending == Ending::Complete
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
