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
    /// Until when nothing is shown all the same.
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

    /// Whether anything is shown now.
    pub(crate) fn shows(&self, now: UtcTime) -> bool {
        self.on && !self.is_private(now)
    }

    /// Whether nothing is shown for a time.
    pub(crate) fn is_private(&self, now: UtcTime) -> bool {
        self.private_until.is_some_and(|until| now < until)
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

    /// Forgets that somebody was allowed who is no contact any more. Whoever was denied stays so, also after having been away; only
    /// of very many the oldest are forgotten.
    pub(crate) fn keep_only(&mut self, contacts: &[AccountId]) -> bool {
        let before = self.allowed.len() + self.denied.len();
        self.allowed.retain(|known| contacts.contains(known));
        let gone = self.denied.iter().filter(|known| !contacts.contains(known)).count();
        let mut too_many = gone.saturating_sub(DENIED_GONE_MAX);
        self.denied.retain(|known| {
            let forgotten = too_many > 0 && !contacts.contains(known);
            too_many -= usize::from(forgotten);
            !forgotten
        });
        self.allowed.len() + self.denied.len() != before
    }
}

/// How many who were denied and are no contacts any more are remembered. Count, default 500: the file stays far below its limit.
const DENIED_GONE_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_by_default_and_then_to_those_who_were_chosen() {
        let (ana, ben) = (AccountId([1; 32]), AccountId([2; 32]));
        let now = UtcTime::from_nanos(1_000);
        let mut settings = Settings::default();
        assert!(!settings.shows(now) && !settings.includes(ana));
        settings.on = true;
        assert!(settings.shows(now) && !settings.includes(ana), "nobody was chosen yet");
        settings.permit(ana, true);
        assert!(settings.includes(ana) && !settings.includes(ben));
        settings.permit(ana, false);
        assert!(!settings.includes(ana));
        settings.audience = Audience::All;
        assert!(!settings.includes(ana) && settings.includes(ben), "who was denied is not among all");
        settings.permit(ana, true);
        assert!(settings.includes(ana));
        settings.private_until = Some(UtcTime::from_nanos(2_000));
        assert!(!settings.shows(now) && settings.shows(UtcTime::from_nanos(2_000)));
        assert!(settings.keep_only(&[ben]) && settings.allowed.is_empty());
    }

    #[test]
    fn who_was_denied_stays_so_though_the_contact_goes_and_comes_back() {
        let account = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            AccountId(id)
        };
        let mut settings = Settings { on: true, audience: Audience::All, ..Settings::default() };
        settings.permit(account(0), false);
        assert!(!settings.keep_only(&[]) && !settings.includes(account(0)));
        // One who is a contact is never forgotten, and of the others the oldest is.
        let most = u16::try_from(DENIED_GONE_MAX).expect("few");
        (1..=most + 1).for_each(|number| settings.permit(account(number), false));
        assert!(settings.keep_only(&[account(0)]));
        assert!(
            !settings.includes(account(0)) && settings.includes(account(1)) && !settings.includes(account(2))
        );
    }
}
