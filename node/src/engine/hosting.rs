//! Who gives the order: by agreement, because the host left, or because one of the two fell silent or began anew.

use jamsync_protocol::session::{Command, HostChange};

use super::{Engine, jamming::not_in_jam};
use crate::api::{self, ApiError};

impl Engine {
    /// The listener, who is the host, makes the friend the host.
    pub(super) fn hand_over(&mut self) -> Result<(), ApiError> {
        if self.jam.is_none() {
            return Err(not_in_jam());
        }
        self.command(Command::HandOver)
    }

    /// Another side gives the order from now on.
    pub(super) fn host_changed(&mut self, why: HostChange) {
        self.stage.host_changed();
        // Of a host that left for good the end of the Jam tells.
        let Some(why) = why_of(why).filter(|_| self.jam.is_some()) else { return };
        self.tell(api::Event::RoleChanged { role: self.role(), why });
    }

    /// This node's part in the Jam.
    pub(super) fn role(&self) -> api::Role {
        let met = self.jam.as_ref().filter(|jam| jam.met.is_some());
        let granted = || self.jam.as_ref().is_some_and(super::ActiveJam::is_host);
        let is_host = met.map_or_else(granted, |_| self.stage.session().is_host());
        if is_host { api::Role::Host } else { api::Role::Guest }
    }

    /// In no Jam, but with what one left behind: the listener's own music comes back.
    pub(super) fn leave_what_is_left(&mut self) -> Result<(), ApiError> {
        if !self.stage.has_parked() {
            return Err(not_in_jam());
        }
        self.stage.leave_jam();
        self.tell(api::Event::OwnMusicBack);
        Ok(())
    }
}

fn why_of(why: HostChange) -> Option<api::RoleWhy> {
    match why {
        HostChange::Agreed => Some(api::RoleWhy::Agreed),
        HostChange::Silence => Some(api::RoleWhy::Silence),
        HostChange::Returned => Some(api::RoleWhy::Returned),
        HostChange::Restarted => Some(api::RoleWhy::Restarted),
        HostChange::Left | _ => None,
    }
}
