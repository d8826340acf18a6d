//! The stream on which a coordinator tells of listening activity. It is the least that a connection carries: where it fails, the
//! rest goes on, and it is tried again after a while.

use std::{convert::Infallible, time::Duration};

use jamsync_protocol::{
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec::{self, FrameReader},
        coord::{ActivityCall, ActivityNews, CoordCall, CoordRequest, IdempotencyKey},
    },
};
use quinn::Connection;
use tokio::time::sleep;

use super::{LinkEvent, Shared, dial::tell, exchange::next_frame};

/// Passes on what the coordinator tells, as soon as it is wanted, and never ends by itself.
pub(super) async fn pass_activity(shared: &Shared, connection: &Connection) -> Infallible {
    let mut watching = shared.watching.subscribe();
    loop {
        if watching.wait_for(|watching| *watching).await.is_err() {
            // The link itself is gone.
            return std::future::pending().await;
        }
        follow(shared, connection).await;
        sleep(PAUSE).await;
    }
}

/// Follows one stream to its end.
async fn follow(shared: &Shared, connection: &Connection) {
    let request = CoordRequest::Activity(ActivityCall::Watch);
    let call = CoordCall { key: IdempotencyKey([0; 16]), request };
    let Ok(first) = codec::encode_frame(&call, COORD_FRAME_BYTES_MAX) else { return };
    let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
    if send.write_all(&first).await.is_err() {
        return;
    }
    let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
    loop {
        match next_frame(&mut receive, &mut frames).await {
            Ok(Some(frame)) => match codec::decode::<ActivityNews>(&frame) {
                Ok(news) => tell(&shared.events, LinkEvent::Activity(Box::new(news))).await,
                Err(error) => return tracing::info!(%error, "activity cannot be read"),
            },
            Ok(None) => return,
            Err(error) => return tracing::info!(?error, "activity is not told any more"),
        }
    }
}

/// How long a stream that ended is left alone. Seconds, default 5: less asks a coordinator again and again that knows of no
/// activities, more leaves friends unseen.
const PAUSE: Duration = Duration::from_secs(5);
