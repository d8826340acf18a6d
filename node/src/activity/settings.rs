//! To whom this device shows what it plays, as the listener has set it. One small file; without it nothing is shown.

use std::{io, path::Path};

use jamsync_protocol::{id::AccountId, time::UtcTime};
use serde::{Deserialize, Serialize};

use crate::kept;

/// What the listener has set. The default shows nothing to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Whether anything is shown.
    pub(crate) on: bool,
    pub(crate) audience: Audience,
    /// Who may see it, where the audience is chosen.
    pub(crate) allowed: Vec<AccountId>,
    /// Who may not, where it is all contacts.
    pub(crate) denied: Vec<AccountId>,
    /// Until when nothing is shown all the same, by the calendar as it was when the session began.
    pub(crate) private_until: Option<UtcTime>,
    /// Whether the coordinator has still to be told that nothing is shown.
    pub(crate) untold: bool,
}

/// To whom activity is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Audience {
    /// Those contacts that were allowed.
    #[default]
    Chosen,
    /// All contacts but those that were denied.
    All,
}

impl Settings {
    /// What is kept in `file`. Of one that cannot be used `troubles` is told, and nothing is shown.
    pub(crate) fn load(file: &Path, troubles: &mut Vec<String>) -> Self {
        let what = "your listening activity is off";
        let then = "`jamsync activity on` shows it again";
        kept::load(file, what, then, troubles).pop().unwrap_or_default()
    }

    /// Keeps them.
    ///
    /// # Errors
    /// What the system says where the file cannot be written.
    pub(crate) fn save(&self, file: &Path) -> io::Result<()> {
        kept::save(file, std::slice::from_ref(self))
    }

    /// Whether a contact is among those to whom it is shown.
    pub(crate) fn includes(&self, contact: AccountId) -> bool {
        match self.audience {
            Audience::Chosen => self.allowed.contains(&contact),
            Audience::All => !self.denied.contains(&contact),
        }
    }

    /// Shows it to a contact, or not.
    pub(crate) fn permit(&mut self, contact: AccountId, permitted: bool) {
        let (to, from) = if permitted {
            (&mut self.allowed, &mut self.denied)
        } else {
            (&mut self.denied, &mut self.allowed)
        };
        from.retain(|known| *known != contact);
        if !to.contains(&contact) {
            to.push(contact);
        }
    }

    /// Forgets whoever is no contact any more, so that a name that comes back is asked about anew.
    pub(crate) fn keep_only(&mut self, contacts: &[AccountId]) -> bool {
        let before = self.allowed.len() + self.denied.len();
        self.allowed.retain(|known| contacts.contains(known));
        self.denied.retain(|known| contacts.contains(known));
        self.allowed.len() + self.denied.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_by_default_and_then_to_those_who_were_chosen() {
        let (ana, ben) = (AccountId([1; 32]), AccountId([2; 32]));
        let mut settings = Settings::default();
        assert!(!settings.on && !settings.includes(ana));
        settings.on = true;
        assert!(!settings.includes(ana), "nobody was chosen yet");
        settings.permit(ana, true);
        assert!(settings.includes(ana) && !settings.includes(ben));
        settings.permit(ana, false);
        assert!(!settings.includes(ana));
        settings.audience = Audience::All;
        assert!(!settings.includes(ana) && settings.includes(ben), "who was denied is not among all");
        settings.permit(ana, true);
        assert!(settings.includes(ana));
        assert!(settings.keep_only(&[ben]) && settings.allowed.is_empty());
    }
}
