//! To whom this device shows what it plays, as the listener has set it. One small file; without it nothing is shown.

use std::{io, path::Path};

use jamsync_protocol::{id::AccountId, time::UtcTime};
use serde::{Deserialize, Serialize};

use super::PRIVATE_SPAN_MAX;
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

/// What another device's word that the account shows nothing has changed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heeded {
    /// Nothing: it is over, or this device shows nothing for as long anyway.
    Not,
    /// Nothing is shown any more.
    Off,
    /// Nothing is shown until then.
    Until(UtcTime),
}

impl Settings {
    /// Another device of the account has hidden its activity, for good or until then. It may have said so long ago, so what is
    /// held back here for longer is held back on; a time that no private session lasts is for good.
    pub(crate) fn heed_silence(&mut self, until: Option<UtcTime>, now: UtcTime) -> Heeded {
        let is_held = |until: UtcTime| until <= now || self.private_until.is_some_and(|own| until <= own);
        if !self.on || until.is_some_and(is_held) {
            return Heeded::Not;
        }
        self.private_until = until.filter(|until| *until - now <= PRIVATE_SPAN_MAX);
        self.on = self.private_until.is_some();
        self.private_until.map_or(Heeded::Off, Heeded::Until)
    }

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
    use jamsync_protocol::time::Span;

    use super::*;

    #[test]
    fn another_devices_word_is_held_for_as_long_as_it_says_and_never_ends_what_this_one_holds_back() {
        let now = UtcTime::from_nanos(1_795_219_500_000_000_000);
        let at = |hours: i64| now + Span::from_secs(hours * 3_600);
        let on = || Settings { on: true, ..Settings::default() };
        let mut settings = on();
        assert_eq!(settings.heed_silence(Some(at(2)), now), Heeded::Until(at(2)));
        assert!(settings.on && settings.private_until == Some(at(2)), "and after that it is shown again");
        assert_eq!(settings.heed_silence(Some(at(1)), now), Heeded::Not, "an older word is shorter");
        assert_eq!(settings.private_until, Some(at(2)));
        assert_eq!(settings.heed_silence(None, now), Heeded::Off);
        assert!(!settings.on && settings.private_until.is_none());
        assert_eq!(settings.heed_silence(None, now), Heeded::Not, "it is off already");
        assert_eq!(settings.heed_silence(Some(at(2)), now), Heeded::Not);
        let mut away = on();
        assert_eq!(away.heed_silence(Some(at(0)), now), Heeded::Not, "it was over before it was heard");
        assert!(away.on && away.private_until.is_none());
        assert_eq!(on().heed_silence(Some(at(24 * 31)), now), Heeded::Off, "no session lasts so long");
    }

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
