//! One connection: requests, each on a stream of its own, and the event stream.
//!
//! A stream whose bytes are not as the wire says is reset with the [`Fault`]; the connection goes on, because
//! nothing else on it is in doubt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jamsync_protocol::{
    id::DeviceKey,
    limits::COORD_FRAME_BYTES_MAX,
    time::Span,
    wire::{
        codec::{self, FrameReader},
        coord::{ActivityCall, CoordCall, CoordReply, CoordRequest, Fault, Features, Refusal},
    },
};
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

mod activity;
mod events;

use super::{
    Shared,
    meters::Meter,
    presence::{close, observed},
    stopped, tls,
};
use crate::{
    metrics::{Kind, Outcome},
    rules::{self, Context},
    store::{Store, StoreError},
};

/// How long a stream may take to deliver its request. Seconds, default 10: shorter fails on a bad mobile
/// link, longer lets a silent client hold its streams.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a client may take to read a reply. Seconds, default 10: shorter fails on a bad mobile link, longer lets a client
/// that does not read hold its streams.
const REPLY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the next stream of a client waits that asks faster than it may: its refusals cost less than its requests.
const PENALTY: Duration = Duration::from_millis(50);
/// How long a request under way may take to end when the server shuts down.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);
/// When to try again after the store failed.
const RETRY_AFTER: Span = Span::from_secs(2);

/// One connected device.
struct Session<S: Store> {
    shared: Arc<Shared<S>>,
    connection: quinn::Connection,
    device: DeviceKey,
    wake: Arc<Notify>,
    meter: Arc<Meter>,
    greeted: AtomicBool,
    /// Whether the event stream is open.
    has_events: AtomicBool,
    /// Whether the stream of activities is open.
    has_watch: AtomicBool,
    stopping: watch::Receiver<bool>,
}

/// Serves a connection until either side closes it or `stopping` turns true.
pub(super) async fn serve<S: Store>(
    shared: Arc<Shared<S>>,
    connection: quinn::Connection,
    mut stopping: watch::Receiver<bool>,
) {
    let Some(device) = tls::device_of(&connection) else {
        close(&connection, Fault::OutOfPlace);
        return;
    };
    let wake = shared.presence.arrive(device, &connection);
    tracing::info!(?device, "connected");
    let meter = shared.meters.of(device, shared.env.uptime());
    let session = Arc::new(Session {
        shared,
        connection: connection.clone(),
        device,
        wake,
        meter,
        greeted: AtomicBool::new(false),
        has_events: AtomicBool::new(false),
        has_watch: AtomicBool::new(false),
        stopping: stopping.clone(),
    });
    let mut streams = JoinSet::new();
    let why = loop {
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, receive)) => {
                    let limited = session.limited();
                    let session = Arc::clone(&session);
                    streams.spawn(async move { session.serve_stream(send, receive, limited).await });
                    if limited.is_some() {
                        tokio::time::sleep(PENALTY).await;
                    }
                }
                Err(error) => break error.to_string(),
            },
            Some(_) = streams.join_next() => {}
            () = stopped(&mut stopping) => break Fault::ShuttingDown.to_string(),
        }
    };
    // What is under way ends first, so that a write that was done is also answered.
    let drained = async { while streams.join_next().await.is_some() {} };
    if connection.close_reason().is_none() && tokio::time::timeout(DRAIN_TIME_MAX, drained).await.is_err() {
        tracing::warn!(?device, "requests were still under way at shutdown");
    }
    close(&connection, Fault::ShuttingDown);
    session.shared.presence.leave(device, &connection);
    tracing::info!(?device, why, "disconnected");
}

impl<S: Store> Session<S> {
    /// Takes one request, and says how long the device has to wait where it asks too fast.
    fn limited(&self) -> Option<Span> {
        self.meter.request(&self.shared.live.limits(), self.shared.env.uptime()).err()
    }

    async fn serve_stream(&self, mut send: SendStream, mut receive: RecvStream, limited: Option<Span>) {
        if let Err(fault) = self.answer(&mut send, &mut receive, limited).await {
            tracing::info!(device = ?self.device, %fault, "stream closed");
            self.shared.metrics.streams_reset.add(1);
            // Both fail only where the stream is closed already.
            drop(send.reset(fault.code().into()));
            drop(receive.stop(fault.code().into()));
        }
    }

    async fn answer(
        &self,
        send: &mut SendStream,
        receive: &mut RecvStream,
        limited: Option<Span>,
    ) -> Result<(), Fault> {
        let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
        let first = tokio::time::timeout(REQUEST_TIME_MAX, next_frame(receive, &mut frames));
        let Some(frame) = first.await.map_err(|_| Fault::TooSlow)?? else { return Ok(()) };
        let call: CoordCall = codec::decode(&frame)?;
        if let CoordRequest::Events { after } = call.request {
            return self.send_events(after, send, receive, frames).await;
        }
        if matches!(call.request, CoordRequest::Activity(ActivityCall::Watch)) {
            return self.send_activity(send, receive, frames).await;
        }
        if !frames.is_at_boundary() {
            return Err(Fault::OutOfPlace);
        }
        let reply = self.reply_to(call, limited).await;
        let replied = async {
            write_frame(send, &reply).await;
            drop(send.finish());
            // The reply is under way only while the stream lives; wait until it has arrived.
            drop(send.stopped().await);
        };
        tokio::time::timeout(REPLY_TIME_MAX, replied).await.map_err(|_| Fault::TooSlow)
    }

    async fn reply_to(&self, call: CoordCall, limited: Option<Span>) -> CoordReply {
        let started = Instant::now();
        let kind = if matches!(call.request, CoordRequest::Hello { .. }) {
            Kind::Hello
        } else if rules::is_write(&call.request) {
            Kind::Write
        } else {
            Kind::Read
        };
        let (reply, outcome) = match (limited, self.outcome_of(call, kind, limited).await) {
            (Some(_), Ok(reply)) => (reply, Outcome::Limited),
            (None, Ok(reply @ CoordReply::Refused(_))) => (reply, Outcome::Refused),
            (None, Ok(reply)) => (reply, Outcome::Done),
            (_, Err(error)) => {
                self.shared.look_again.notify_one();
                (unavailable(&error), Outcome::Failed)
            }
        };
        self.shared.metrics.answered(kind, outcome, started.elapsed());
        reply
    }

    async fn outcome_of(
        &self,
        call: CoordCall,
        kind: Kind,
        limited: Option<Span>,
    ) -> Result<CoordReply, StoreError> {
        if let Some(retry_after) = limited {
            return Ok(CoordReply::Refused(Refusal::TooMany { retry_after }));
        }
        if let CoordRequest::Hello { program, .. } = &call.request {
            tracing::info!(device = ?self.device, %program, "hello");
            return self.welcome().await;
        }
        if !self.greeted.load(Ordering::Acquire) {
            return Ok(CoordReply::Refused(Refusal::HelloFirst));
        }
        if let CoordRequest::Activity(activity) = call.request {
            return self.activity(activity).await;
        }
        match kind {
            Kind::Write => self.write(call).await,
            Kind::Hello | Kind::Read => self.look(call.request).await,
        }
    }

    async fn welcome(&self) -> Result<CoordReply, StoreError> {
        let device = self.device;
        let known = self.shared.store.read(move |view| view.device(device)).await?;
        if known.as_ref().is_some_and(|known| known.revoked) {
            close(&self.connection, Fault::Revoked);
        }
        self.greeted.store(true, Ordering::Release);
        let signed_up = known.is_some_and(|known| !known.revoked);
        self.shared.presence.note(device, signed_up);
        Ok(CoordReply::Welcome {
            features: Features::default(),
            now: self.shared.calendar.now(),
            observed: observed(&self.connection),
            signed_up,
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other writes are metered alike")]
    async fn write(&self, call: CoordCall) -> Result<CoordReply, StoreError> {
        let (limits, now) = (self.shared.live.limits(), self.shared.env.uptime());
        // What is said has a meter of its own; how far a device has read is no more than a request.
        let metered = match &call.request {
            CoordRequest::AcknowledgeLog { .. } => Ok(()),
            CoordRequest::Post { .. } => self.meter.post(now),
            _ => self.meter.write(&limits, now),
        };
        if let Err(retry_after) = metered {
            return Ok(CoordReply::Refused(Refusal::TooMany { retry_after }));
        }
        if let CoordRequest::Candidates { addresses } = &call.request {
            if let Err(retry_after) = self.meter.tell(now) {
                return Ok(CoordReply::Refused(Refusal::TooMany { retry_after }));
            }
            self.shared.presence.tell(self.device, addresses);
        }
        self.shared.write(self.context()?, self.connection.remote_address().ip(), call).await
    }

    async fn look(&self, request: CoordRequest) -> Result<CoordReply, StoreError> {
        let context = self.context()?;
        let looked = self.shared.store.read(move |view| rules::look(view, &context, &request)).await?;
        self.shared.damaged.note(&looked.damaged, &self.shared.metrics);
        Ok(looked.reply)
    }

    fn context(&self) -> Result<Context, StoreError> {
        let shared = &self.shared;
        let whereabouts = Arc::clone(&shared.presence);
        Ok(Context {
            now: shared.calendar.now(),
            calendar: shared.calendar.trust(),
            device: self.device,
            entropy: shared.env.entropy().map_err(|error| StoreError::Database(error.to_string()))?,
            settings: shared.live.settings(),
            secret: Arc::clone(&shared.secret),
            whereabouts,
            spared: Vec::new(),
        })
    }
}

/// The next frame, or `None` at the end of the stream. May be cancelled without loss.
async fn next_frame(receive: &mut RecvStream, frames: &mut FrameReader) -> Result<Option<Vec<u8>>, Fault> {
    loop {
        if let Some(frame) = frames.poll_frame()? {
            return Ok(Some(frame));
        }
        match receive.read_chunk(COORD_FRAME_BYTES_MAX, true).await {
            Ok(Some(chunk)) => frames.handle_bytes(&chunk.bytes),
            Ok(None) if frames.is_at_boundary() => return Ok(None),
            Ok(None) => return Err(Fault::Truncated),
            // The client gave the stream or the connection up; there is nobody to tell.
            Err(_) => return Ok(None),
        }
    }
}

async fn write_frame<T: Serialize>(send: &mut SendStream, value: &T) {
    match codec::encode_frame(value, COORD_FRAME_BYTES_MAX) {
        // A client that went away does not need the frame.
        Ok(frame) => drop(send.write_all(&frame).await),
        Err(error) => tracing::error!(%error, "a reply does not fit into a frame"),
    }
}

fn unavailable(error: &StoreError) -> CoordReply {
    // The store itself says once that it fails; a line for each request would fill the disk further.
    tracing::debug!(%error, "the store failed");
    CoordReply::Refused(Refusal::Unavailable { retry_after: RETRY_AFTER })
}
