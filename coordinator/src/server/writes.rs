//! Writes: what the rules do with one, and who has to hear of it then.
//!
//! A write runs in a task of its own. A client that goes away ends the stream on which it asked, but its change may be
//! made all the same, and whoever has to hear of that change must not depend on who asked for it.

use std::sync::Arc;

use jamsync_protocol::wire::coord::{CoordCall, CoordReply, CoordRequest};

use super::Shared;
use crate::{
    rules::{self, Context},
    store::{Store, StoreError, Tables},
};

impl<S: Store> Shared<S> {
    /// Does a write with all that follows from it. Whoever stops waiting for the answer stops nothing.
    pub(super) async fn write(
        self: &Arc<Self>,
        context: Context,
        call: CoordCall,
    ) -> Result<CoordReply, StoreError> {
        let shared = Arc::clone(self);
        let done = tokio::spawn(async move { shared.carry_out(context, call).await });
        done.await.map_err(|_| StoreError::Closed)?
    }

    async fn carry_out(&self, context: Context, call: CoordCall) -> Result<CoordReply, StoreError> {
        let (device, speaks) = (context.device, speaks_after(&call.request));
        let calendar = Arc::clone(&self.calendar);
        let apply = move |tables: &mut dyn Tables| {
            // Asked only here: a change that waited may come after the one that sets the calendar and moves the rows.
            let context = Context { now: calendar.now(), ..context };
            rules::apply(tables, &context, &call)
        };
        let applied = match self.store.write(apply).await {
            Ok(applied) => applied,
            Err(stop) => return stop.answer(),
        };
        if let Some(speaks) = speaks {
            self.presence.note(device, speaks);
        }
        self.presence.wake(&applied.wake);
        self.presence.cut_off(&applied.revoked);
        if matches!(applied.reply, CoordReply::Requested { .. }) {
            self.look_again.notify_one();
        }
        Ok(applied.reply)
    }
}

/// Whether the device that asked speaks for an account once this is done, where it matters.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other request changes it")]
const fn speaks_after(request: &CoordRequest) -> Option<bool> {
    match request {
        CoordRequest::SignUp { .. } | CoordRequest::ExtendLog { .. } => Some(true),
        CoordRequest::DeleteAccount { .. } => Some(false),
        _ => None,
    }
}
