//! What `status` shows, put together from the engine's parts, and the text form of entries.

use std::net::SocketAddr;

use jamsync_protocol::{
    id::{EntryId, Handle, Participant},
    queue::Entry,
    text::Text,
    time::Span,
    wire::peer::{Availability, Verb},
};

use super::{Engine, utc_now};
use crate::{
    api::{self, ApiError, EntryKey, EntryState, ErrorCode, Side, Snapshot, Who},
    config::SinkKind,
    net::socket::canonical,
};

impl Engine {
    /// Everything at this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        let report = self.stage.player().report();
        Snapshot {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            me: self.me(),
            coordinator: self.coordinator_state.clone(),
            jam: self.jam_view(),
            sync: self.sync_view(),
            now: self.now_playing(),
            queue: self.upcoming(),
            own_music_waits: self.stage.has_parked(),
            requests: self.open_requests(),
            volume_percent: self.volume,
            output: api::Output {
                sink: self.settings.sink.as_str().to_owned(),
                device: match self.settings.sink {
                    SinkKind::Cpal => self.settings.device.clone().unwrap_or_else(|| "default".to_owned()),
                    SinkKind::Virtual | SinkKind::Wav | SinkKind::Null => String::new(),
                },
                rate: Some(self.stage.player().rate()),
                latency: report.output_latency,
                underruns: report.missed_frames.0,
            },
            warnings: self.warnings_now(),
        }
    }

    /// What was told once, and what is so until it is mended.
    fn warnings_now(&self) -> Vec<String> {
        let passing =
            [&self.output_lost, &self.account_unknown, &self.calendar_wrong, &self.messages_stopped];
        self.warnings.iter().chain(passing.into_iter().flatten()).cloned().collect()
    }

    fn me(&self) -> api::Me {
        let listen = self.endpoint.local_addr().ok().or(self.settings.listen).map_or(UNBOUND, canonical);
        api::Me {
            handle: self.account.as_ref().map(|account| account.handle.clone()),
            account: self.account.as_ref().and_then(super::Account::id),
            device: self.identity.key(),
            listen,
        }
    }

    fn jam_view(&self) -> Option<api::Jam> {
        let jam = self.jam.as_ref()?;
        let now = self.stage.now();
        let peer = match (&jam.link, jam.lost_since) {
            (Some(link), _) => api::Peer::Connected { path: api::Path::Direct, address: link.address() },
            (None, Some(since)) if jam.returning => api::Peer::Returning { for_time: now - since },
            (None, Some(since)) => api::Peer::Lost { for_time: now - since, waits: jam.waiting },
            (None, None) => api::Peer::Connecting,
        };
        Some(api::Jam {
            id: jam.id,
            with: jam.with().clone(),
            role: self.role(),
            guest_controls: self.stage.session().guest_controls(),
            peer,
            quality: api::BothQualities { you: jam.quality.into(), friend: jam.peer.quality.into() },
            age: now - jam.granted,
            chat: jam.talk.view(jam.with()),
            readiness: jam.readiness.view(now),
        })
    }

    fn sync_view(&self) -> Option<api::Sync> {
        let sync = self.stage.session().sync_report(self.stage.now())?;
        let report = self.stage.player().report();
        Some(api::Sync {
            offset: sync.offset,
            bound: sync.bound,
            spread: sync.spread,
            round_trip: sync.round_trip,
            drift: sync.drift,
            precision: self.jam.as_ref().map_or(api::Precision::Full, |jam| jam.path.told().precision.into()),
            lead: self.stage.session().lead_time(),
            loss: sync.loss.map(api::Percent::of_share),
            rate: report.rate,
            servo_error: report.error.unwrap_or(Span::ZERO),
            reanchors: self.jam.as_ref().map_or(0, |jam| jam.reanchors),
        })
    }

    fn now_playing(&self) -> Option<api::NowPlaying> {
        let session = self.stage.session();
        let heard = self.stage.heard()?;
        let entry = session.queue().entry(heard.entry)?;
        let (by, verb) = self.stage.in_force()?;
        Some(api::NowPlaying {
            entry: entry_key(entry.id),
            track: entry.track.id,
            title: entry.track.title.clone(),
            artist: entry.track.artist.clone(),
            position: entry.track.rate.span_of(heard.position.min(entry.track.length)),
            length: entry.track.duration(),
            playing: heard.playing,
            // A sound that is held was stopped by nobody.
            by: self.stage.held().map_or_else(|| self.who_did(by, verb), |_| Who::Program),
            added_by: self.added_by(entry.id),
            state: self.state_of(entry.id),
        })
    }

    /// The entries behind what plays; all of them while nothing does.
    fn upcoming(&self) -> Vec<api::QueueEntry> {
        let queue = self.stage.session().queue();
        let next = match self.current() {
            Some(current) => queue.next_after(current),
            None => queue.first(),
        };
        let next = next.map(|next| next.id);
        let shown = queue.entries().skip_while(|entry| Some(entry.id) != next);
        shown.map(|entry| self.queue_entry(entry)).collect()
    }

    fn queue_entry(&self, entry: &Entry) -> api::QueueEntry {
        api::QueueEntry {
            entry: entry_key(entry.id),
            track: entry.track.id,
            title: entry.track.title.clone(),
            artist: entry.track.artist.clone(),
            length: entry.track.duration(),
            added_by: self.added_by(entry.id),
            state: self.state_of(entry.id),
        }
    }

    fn state_of(&self, entry: EntryId) -> EntryState {
        let session = self.stage.session();
        let here = session.availability_here(entry);
        let there = session.availability_there(entry);
        let alone = self.jam.is_none();
        for (side, known) in [(Side::Here, here), (Side::Peer, there)] {
            match known {
                Some(Availability::Missing) => return EntryState::Missing { side },
                Some(Availability::Unplayable { reason }) => {
                    return EntryState::Unplayable { side, reason: Text::truncated(reason.as_str()) };
                }
                Some(Availability::Ready) | None => {}
            }
        }
        if here.is_some() && (alone || there.is_some()) { EntryState::Ready } else { EntryState::Checking }
    }

    fn open_requests(&self) -> Vec<api::JamRequest> {
        let now = utc_now();
        let shown = self.ledger.open().iter().map(|request| api::JamRequest {
            with: request.friend.clone(),
            direction: super::requests::direction(request),
            expires_in: (request.expires - now).max(Span::ZERO),
        });
        shown.collect()
    }

    /// A participant as this listener knows it.
    pub(super) fn who(&self, participant: Participant) -> Who {
        if participant == self.stage.session().me() {
            return Who::You;
        }
        self.friend()
    }

    /// Who added an entry. What an earlier friend left behind is the listener's own, as a next Jam will name it.
    fn added_by(&self, entry: EntryId) -> Who {
        let met = self.jam.as_ref().is_some_and(|jam| jam.met.is_some());
        if met { self.who(entry.author) } else { Who::You }
    }

    /// Who did something: nobody, where the music went on by itself.
    pub(super) fn who_did(&self, by: Participant, verb: Verb) -> Who {
        match verb {
            Verb::TrackEnd | Verb::Unplayable | Verb::Wait => Who::Program,
            Verb::Start
            | Verb::Play
            | Verb::Resume
            | Verb::Pause
            | Verb::Seek
            | Verb::Skip
            | Verb::Removed => self.who(by),
        }
    }

    /// The friend in this Jam; outside one, what an earlier friend did is the program's.
    pub(super) fn friend(&self) -> Who {
        self.jam.as_ref().map_or(Who::Program, |jam| Who::Peer(Handle::clone(jam.with())))
    }
}

/// What is shown where the system does not say on which address the socket is.
const UNBOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The text form of an entry's id.
pub(super) fn entry_key(entry: EntryId) -> EntryKey {
    EntryKey(Text::truncated(&format!("{}.{}", entry.author.index(), entry.number)))
}

/// The entry of a text form.
pub(super) fn entry_id(key: &EntryKey) -> Result<EntryId, ApiError> {
    let parsed = key.0.as_str().split_once('.').and_then(|(author, number)| {
        Some(EntryId { author: Participant::new(author.parse().ok()?)?, number: number.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "no such entry in the queue", "see `jamsync queue list`")
    })
}
