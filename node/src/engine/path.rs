//! What a poor path costs, told to the listener when it begins and when it is over.

use jamsync_protocol::{
    degrade::{Measured, Precision},
    time::Span,
};

use super::Engine;
use crate::api;

impl Engine {
    /// Looks at the path to the friend. Without a connection nothing is measured, and what was told stands.
    pub(super) fn watch_path(&mut self) {
        let now = self.stage.now();
        let session = self.stage.session();
        let Some(sync) = session.sync_report(now) else { return };
        let here = self.stage.player().report().error;
        let there = session.peer_report().and_then(|report| report.error);
        let errors = [here, there].into_iter().flatten().map(Span::abs);
        let measured =
            Measured { off: errors.fold(sync.spread, Span::max), lead: session.lead_time(), loss: sync.loss };
        let Some(jam) = self.jam.as_mut().filter(|jam| jam.link.is_some()) else { return };
        let before = jam.path.told();
        let Some(given_up) = jam.path.handle(&measured, now) else { return };
        let with = jam.with().clone();
        if given_up.precision != before.precision {
            let precision = given_up.precision.into();
            self.tell(api::Event::Precision { with: with.clone(), precision, off: measured.off });
        }
        if given_up.slow_controls != before.slow_controls {
            let slow = given_up.slow_controls;
            self.tell(api::Event::SlowControls { with: with.clone(), slow, lead: measured.lead });
        }
        if let Some(loss) = measured.loss.filter(|_| given_up.late_edits != before.late_edits) {
            let loss = api::Percent::of_share(loss);
            self.tell(api::Event::LateEdits { with, late: given_up.late_edits, loss });
        }
    }
}

impl From<Precision> for api::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Full => Self::Full,
            Precision::Range => Self::Range,
            Precision::Unknown => Self::Unknown,
        }
    }
}
