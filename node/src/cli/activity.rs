//! Listening activity on the command line: what is asked and set, and what is shown, by pure functions of what the daemon said.

use clap::Subcommand;
use jamsync_protocol::{
    chat::Reaction,
    id::Handle,
    text::{Text, isolated, printable},
    time::Span,
};

use super::{
    parse::clock,
    run::{Context, Failure},
    show::{age, plain},
};
use crate::api::{
    ActivityRequest, ActivityState, ActivityTrack, ActivityView, Event, FriendActivity, OwnActivity,
    OwnTrack, Reply, Request, SavedEntry, SeekTo,
};

/// What to do about listening activity.
#[derive(Debug, Subcommand)]
pub(super) enum Activity {
    /// Show what your contacts play, and what they see of you
    #[command(
        after_help = "Examples:\n  jamsync activity show\n  jamsync activity show ben    with what you can do about it"
    )]
    Show {
        /// One contact alone
        name: Option<Handle>,
    },
    /// Let those contacts that you allowed see what you play, or all
    #[command(
        after_help = "Examples:\n  jamsync activity on          then `jamsync activity allow ben`\n  jamsync activity on --all"
    )]
    On {
        /// All contacts but those that you denied
        #[arg(long)]
        all: bool,
    },
    /// Show nothing, on all your devices that are connected; what was shown is gone at once
    #[command(after_help = "Example:\n  jamsync activity off")]
    Off,
    /// Let a contact see what you play
    #[command(after_help = "Example:\n  jamsync activity allow ben")]
    Allow {
        /// The contact
        name: Handle,
    },
    /// Hide what this device plays from a contact, who is not told
    #[command(after_help = "Example:\n  jamsync activity deny ben")]
    Deny {
        /// The contact
        name: Handle,
    },
    /// Show nothing for a time; `jamsync activity on` ends it before
    #[command(
        after_help = "Examples:\n  jamsync activity private        six hours\n  jamsync activity private 45m"
    )]
    Private {
        /// For how long: 45m, 6h or 2d
        #[arg(default_value = "6h", value_parser = span, value_name = "DURATION")]
        span: Span,
    },
    /// Play what a contact plays, by your own copy
    #[command(
        after_help = "Examples:\n  jamsync activity play ben           from the start\n  jamsync activity play ben --here    from where ben is"
    )]
    Play {
        /// The contact
        name: Handle,
        /// From where the contact is in it now
        #[arg(long)]
        here: bool,
        /// From the start, as without `--here`
        #[arg(long, conflicts_with = "here")]
        from_start: bool,
    },
    /// Keep the name of what a contact plays, with or without a file of yours
    #[command(after_help = "Example:\n  jamsync activity save ben")]
    Save {
        /// The contact
        name: Handle,
    },
    /// Keep it in a playlist
    #[command(after_help = "Example:\n  jamsync activity add ben \"to hear\"")]
    Add {
        /// The contact
        name: Handle,
        /// The playlist; it is made where there is none
        #[arg(value_parser = playlist)]
        playlist: Text<64>,
    },
    /// Show it to another contact, as a card among your messages
    #[command(after_help = "Example:\n  jamsync activity share ben carl     shows carl what ben plays")]
    Share {
        /// Who plays it
        name: Handle,
        /// To whom you show it
        with: Handle,
    },
    /// List what you have of the artist whom a contact plays
    #[command(after_help = "Example:\n  jamsync activity artist ben")]
    Artist {
        /// The contact
        name: Handle,
    },
    /// List what you kept
    #[command(after_help = "Examples:\n  jamsync activity saved\n  jamsync activity saved \"to hear\"")]
    Saved {
        /// One playlist alone
        #[arg(value_parser = playlist)]
        playlist: Option<Text<64>>,
    },
}

/// Does it.
pub(super) async fn run(what: Option<Activity>, context: &Context) -> Result<(), Failure> {
    let (what, done) = match what.unwrap_or(Activity::Show { name: None }) {
        Activity::Show { name } => (ActivityRequest::Show { name }, String::new()),
        Activity::On { all } => (ActivityRequest::On { all }, String::new()),
        Activity::Off => (ActivityRequest::Off, "Nobody sees what you play.".to_owned()),
        Activity::Allow { name } => {
            let done = format!("{name} may see what you play, while your activity is on.");
            (ActivityRequest::Allow { name }, done)
        }
        Activity::Deny { name } => {
            let done = format!("{name} does not see what this device plays.");
            (ActivityRequest::Deny { name }, done)
        }
        Activity::Private { span } => {
            let done = format!("Nobody sees what you play for {}.", age(span));
            (ActivityRequest::Private { span }, done)
        }
        Activity::Play { name, here, .. } => return play(name, here, context).await,
        Activity::Save { name } => {
            (ActivityRequest::Save { name, playlist: Text::default() }, "Saved.".to_owned())
        }
        Activity::Add { name, playlist } => (ActivityRequest::Save { name, playlist }, "Added.".to_owned()),
        Activity::Share { name, with } => (ActivityRequest::Share { name, with }, String::new()),
        Activity::Artist { name } => (ActivityRequest::Artist { name }, String::new()),
        Activity::Saved { playlist } => (ActivityRequest::Saved { playlist }, String::new()),
    };
    context.ask(Request::Activity { what }, &done).await
}

/// Plays one's own copy, from the start or from where the contact is by then.
async fn play(name: Handle, here: bool, context: &Context) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let find = || Request::Activity { what: ActivityRequest::Find { name: name.clone() } };
    let Reply::OwnCopy { path, track, .. } = client.call(find()).await? else { return Ok(()) };
    let reply = client.call(Request::Play { paths: vec![path.into()] }).await?;
    if here && let Reply::OwnCopy { position, .. } = client.call(find()).await? {
        let position = u64::try_from(position.as_millis()).unwrap_or_default();
        client.call(Request::Seek { to: SeekTo::PositionMs(position) }).await?;
    }
    context.output.reply(reply, |_| format!("Playing {}.", isolated(track.title.as_str())))?;
    Ok(())
}

/// The answer in words.
pub(super) fn words(reply: &Reply, done: &str) -> Option<String> {
    if let Reply::Activity(view) = reply {
        return Some(shown(view));
    }
    if let Reply::OwnTracks { artist, tracks } = reply {
        return Some(of_artist(artist, tracks));
    }
    let Reply::Saved { entries } = reply else { return None };
    let lines: Vec<String> = entries.iter().map(saved).collect();
    Some(match (lines.is_empty(), done.is_empty()) {
        (true, _) => {
            "You kept nothing yet. `jamsync activity save NAME` keeps what a friend plays.".to_owned()
        }
        (false, true) => lines.join("\n"),
        (false, false) => format!("{done}\n{}", lines.join("\n")),
    })
}

fn saved(entry: &SavedEntry) -> String {
    let list = match entry.playlist.as_str() {
        "" => String::new(),
        list => format!("{}: ", isolated(list)),
    };
    format!("{list}{}  (from {})", title(&entry.track), entry.from)
}

/// What this node has of an artist.
fn of_artist(artist: &Text<256>, tracks: &[OwnTrack]) -> String {
    let artist = isolated(artist.as_str());
    if tracks.is_empty() {
        return format!("You have nothing of {artist}. `jamsync library add FOLDER` makes yours known.");
    }
    let line = |own: &OwnTrack| {
        let album = match own.track.album.as_str() {
            "" => String::new(),
            album => format!(" ({})", isolated(album)),
        };
        let length = clock(ms(own.track.length));
        format!("{}{album}  {length}  {}", isolated(own.track.title.as_str()), plain(&own.path))
    };
    let lines: Vec<String> = tracks.iter().map(line).collect();
    format!("Of {artist} you have:\n{}", lines.join("\n"))
}

fn shown(view: &ActivityView) -> String {
    let mut lines = vec![own(&view.own)];
    lines.extend(view.friends.iter().filter_map(line));
    let reacted = |with: &Handle, reaction: Reaction, ago| {
        format!("{with} reacted {} {} ago", reaction.emoji(), age(ago))
    };
    lines.extend(view.reactions.iter().map(|one| reacted(&one.with, one.reaction, one.age)));
    if let [friend] = &view.friends[..] {
        lines.extend(friend.cover.as_deref().map(|cover| format!("  cover: {}", printable(cover))));
        let is_hidden = friend.state == ActivityState::Hidden;
        lines.push(if is_hidden { format!("{} shows nothing.", friend.with) } else { menu(&friend.with) });
    }
    lines.join("\n")
}

/// What can be done about what a contact plays.
fn menu(name: &Handle) -> String {
    format!(
        "  jamsync activity play {name} [--here]     jamsync activity save {name}     jamsync activity add {name} PLAYLIST\n  \
         jamsync activity artist {name}            jamsync activity share {name} WITH\n  \
         jamsync react {name} fire                 jamsync request {name}            asks for a Jam"
    )
}

fn own(own: &OwnActivity) -> String {
    let names = |names: &[Handle]| names.iter().map(Handle::as_str).collect::<Vec<_>>().join(", ");
    if !own.on {
        return "Your activity is off: nobody sees what you play. `jamsync activity on` shows it.".to_owned();
    }
    if own.private_until.is_some() {
        return "A private session: nobody sees what you play. `jamsync activity on` ends it.".to_owned();
    }
    let mut said = match (own.shown_to.is_empty(), own.waiting.is_empty()) {
        (true, true) => "Your activity is on, and nobody was chosen: `jamsync activity allow NAME`, or `activity on --all`.".to_owned(),
        (true, false) => "Your activity is on; nobody sees it yet.".to_owned(),
        (false, _) => format!("{} can see what you play.", names(&own.shown_to)),
    };
    if !own.waiting.is_empty() {
        let waiting = names(&own.waiting);
        said.push_str(&format!(
            " {waiting}: as soon as the conversation with them has begun, which needs both nodes."
        ));
    }
    if own.elsewhere {
        said.push_str(" Another device of yours plays, and its music is shown.");
    }
    said
}

/// What a contact plays, on one line; none where nothing is shown.
pub(super) fn line(friend: &FriendActivity) -> Option<String> {
    let track = friend.track.as_ref()?;
    let (with, title, length) = (&friend.with, title(track), clock(ms(track.length)));
    Some(match friend.state {
        ActivityState::Hidden => return None,
        ActivityState::Playing { position } => {
            format!("{with} plays {title}  {} / {length}", clock(ms(position)))
        }
        ActivityState::Paused { position, age: ago } => {
            format!("{with} paused {title}  {} / {length}, {} ago", clock(ms(position)), age(ago))
        }
        ActivityState::Last { age: ago } => format!("{with} played {title} last, {} ago", age(ago)),
        ActivityState::Stale { .. } if friend.clock_off => {
            format!("{with} played {title}; the clock of one of you is wrong, so it is not known when")
        }
        ActivityState::Stale { age: ago } => {
            format!("{with} played {title}; nothing was heard since {} ago", age(ago))
        }
    })
}

/// What happens to activities; none for what else happens.
pub(super) fn event(event: &Event) -> Option<String> {
    if let Event::ActivityReaction { with, reaction } = event {
        return Some(format!("{with} reacts {} to what you play", reaction.emoji()));
    }
    if let Event::ActivityCover { with, cover } = event {
        return Some(format!("the cover of what {with} plays: {}", printable(cover)));
    }
    let Event::Activity(friend) = event else { return None };
    Some(line(friend).unwrap_or_else(|| format!("{} shows nothing any more", friend.with)))
}

fn title(track: &ActivityTrack) -> String {
    let title = match track.title.as_str() {
        "" => "a track without a title".to_owned(),
        title => isolated(title),
    };
    match track.artist.as_str() {
        "" => title,
        artist => format!("{title} – {}", isolated(artist)),
    }
}

fn ms(span: Span) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or_default()
}

/// A time such as `45m`, `6h` or `2d`.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || "expected a time such as 45m, 6h or 2d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    Ok(Span::from_secs(i64::from(number) * seconds))
}

fn playlist(text: &str) -> Result<Text<64>, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("expected the name of a playlist".to_owned());
    }
    Text::new(text).map_err(|_| "a playlist's name has at most 64 bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::id::TrackId;

    use super::*;

    fn friend(state: ActivityState, words: &str) -> FriendActivity {
        let track = ActivityTrack {
            track: TrackId([1; 32]),
            title: Text::truncated(words),
            artist: Text::truncated("Ann"),
            album: Text::default(),
            length: Span::from_secs(245),
        };
        let with = "ben".parse().expect("valid");
        FriendActivity { with, state, track: Some(track), cover: None, clock_off: false }
    }

    #[test]
    fn what_a_friend_plays_is_one_line_that_cannot_steer_a_terminal() {
        let (position, age) = (Span::from_secs(80), Span::from_secs(125));
        for (state, expected) in [
            (ActivityState::Playing { position }, "ben plays Blue – Ann  1:20 / 4:05"),
            (ActivityState::Paused { position, age }, "ben paused Blue – Ann  1:20 / 4:05, 2 min ago"),
            (ActivityState::Last { age }, "ben played Blue – Ann last, 2 min ago"),
            (ActivityState::Stale { age }, "ben played Blue – Ann; nothing was heard since 2 min ago"),
        ] {
            assert_eq!(line(&friend(state, "Blue")).as_deref(), Some(expected));
        }
        let hidden = FriendActivity { track: None, ..friend(ActivityState::Hidden, "") };
        assert_eq!(line(&hidden), None);
        let told = event(&Event::Activity(Box::new(hidden)));
        assert_eq!(told.as_deref(), Some("ben shows nothing any more"));
        let evil =
            line(&friend(ActivityState::Playing { position }, "\u{1b}[2J\u{202e}\nben")).expect("shown");
        assert!(!evil.contains(char::is_control) && !evil.contains('\u{202e}'), "{evil:?}");
    }

    #[test]
    fn what_there_is_of_an_artist_is_one_line_a_file_that_cannot_steer_a_terminal() {
        let artist = Text::truncated("Ann\u{1b}[2J");
        assert!(of_artist(&artist, &[]).starts_with("You have nothing of Ann"));
        let track = friend(ActivityState::Hidden, "Blue\n\u{202e}").track.expect("one");
        let own = OwnTrack { path: "/music/\u{1b}]0;a.flac".to_owned(), track };
        let said = of_artist(&artist, &[own]);
        assert_eq!(said.lines().count(), 2, "{said:?}");
        assert!(!said.replace('\n', "").contains(char::is_control) && !said.contains('\u{202e}'), "{said:?}");
    }

    #[test]
    fn the_file_of_a_cover_is_named_where_one_contact_is_shown_and_steers_no_terminal() {
        let playing = friend(ActivityState::Playing { position: Span::from_secs(80) }, "Blue");
        let cover = Some("/state/\u{1b}[2J/cover.jpg".to_owned());
        let friends = vec![FriendActivity { cover, ..playing.clone() }];
        let own = OwnActivity {
            on: false,
            all: false,
            private_until: None,
            shown_to: Vec::new(),
            waiting: Vec::new(),
            elsewhere: false,
        };
        let view = ActivityView { own, friends, reactions: Vec::new() };
        let said = shown(&view);
        assert!(said.contains("  cover: /state/") && said.contains("/cover.jpg\n"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
        let several = ActivityView { friends: vec![view.friends[0].clone(), playing], ..view };
        assert!(!shown(&several).contains("cover"), "a list has a line for each");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in
            [("45m", Some(2_700)), ("6h", Some(21_600)), ("2d", Some(172_800)), ("30s", Some(30))]
        {
            assert_eq!(span(text).ok(), seconds.map(Span::from_secs), "{text}");
        }
        for text in ["", "m", "0h", "-1h", "1.5h", "6", "soon", "9999999999h", "ä"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
