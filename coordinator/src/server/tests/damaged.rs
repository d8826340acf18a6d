//! A device log on disk that is not what was written there.

use rusqlite::Connection;

use super::*;

/// Puts something else in the place of somebody's device log.
fn damage(stage: &Stage, seed: u8, damage: impl FnOnce(&mut Vec<u8>)) {
    let disk = Connection::open(stage.folder.path().join("db")).expect("opens");
    let id = person(seed).0.id.0;
    let read = disk.query_row("SELECT log FROM accounts WHERE id = ?1", [id], |row| row.get::<_, Vec<u8>>(0));
    let mut log = read.expect("reads");
    damage(&mut log);
    disk.execute("UPDATE accounts SET log = ?2 WHERE id = ?1", (id, log)).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_friends_damaged_log_does_not_hide_the_others() {
    let stage = Stage::of(&[1, 2, 3, 4]).await;
    let (ana, _dora) = (stage.log_in(1).await, stage.log_in(4).await);
    damage(&stage, 2, |log| log.truncate(9));
    damage(&stage, 3, |log| *log.last_mut().expect("a signature") ^= 1);
    for _ in 0..2 {
        let reply = ana.ask(CoordRequest::Contacts { after: None }).await;
        let CoordReply::Contacts { contacts, more } = reply else { panic!("no contacts: {reply:?}") };
        let shown: Vec<_> = contacts
            .iter()
            .map(|contact| (contact.handle.as_str(), contact.log.verify().is_ok(), contact.online))
            .collect();
        // They keep their places, or their friends would take them to have ended the contact.
        assert_eq!(shown, [("person2", false, false), ("person3", false, false), ("person4", true, true)]);
        assert!(!more);
        assert_eq!(stage.server.metrics().damaged_accounts.now(), 2, "each counts once");
    }
}
