//! The tables, and how an older database becomes a current one.

use rusqlite::{Connection, TransactionBehavior};

use super::{StoreError, rows::db};

/// The version of the newest migration.
pub(super) const VERSION: i64 = 6;

/// The version of a database, 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection.query_row("SELECT * FROM pragma_user_version", [], |row| row.get(0)).map_err(db)
}

/// Brings the database to [`VERSION`]. Of two programs that start at once, one does it.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(db)?;
    let actual = version(&transaction)?;
    if actual > VERSION {
        return Err(StoreError::Newer { actual, known: VERSION });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(actual).unwrap_or(0)) {
        transaction.execute_batch(step).map_err(db)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(db)?;
    transaction.commit().map_err(db)
}

/// Each step is final once released: a change of the tables is a further step, and so is a change of the wire's messages that
/// are kept in them.
const MIGRATIONS: [&str; 6] = [
    "
    CREATE TABLE accounts (
        id BLOB PRIMARY KEY, handle TEXT NOT NULL UNIQUE, tier INTEGER NOT NULL,
        age_met INTEGER NOT NULL, birth_date TEXT, market TEXT NOT NULL,
        created INTEGER NOT NULL, log BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE devices (
        key BLOB PRIMARY KEY, account BLOB NOT NULL REFERENCES accounts(id),
        last_event INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE join_permits (
        fingerprint BLOB PRIMARY KEY, uses_left INTEGER NOT NULL, expires INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE links (
        token BLOB PRIMARY KEY, creator BLOB NOT NULL, expires INTEGER NOT NULL, accepter BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE contacts (
        of_account BLOB NOT NULL REFERENCES accounts(id),
        with_account BLOB NOT NULL REFERENCES accounts(id),
        accepted BLOB, PRIMARY KEY (of_account, with_account)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        id BLOB PRIMARY KEY, from_account BLOB NOT NULL, from_device BLOB NOT NULL,
        to_account BLOB NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, ended INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX one_open_request ON requests (
        min(from_account, to_account), max(from_account, to_account)) WHERE ended IS NULL;
    CREATE INDEX open_requests ON requests (expires) WHERE ended IS NULL;
    CREATE INDEX requests_from ON requests (from_account, to_account, created);
    CREATE INDEX requests_to ON requests (to_account) WHERE ended IS NULL;
    CREATE TABLE jams (
        id BLOB PRIMARY KEY, expires INTEGER NOT NULL, ended INTEGER NOT NULL, signed_grant BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE participants (
        jam BLOB NOT NULL REFERENCES jams(id) ON DELETE CASCADE, place INTEGER NOT NULL,
        account BLOB NOT NULL, device BLOB NOT NULL, PRIMARY KEY (jam, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX jams_of ON participants (device);
    CREATE TABLE events (
        device BLOB NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (device, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE receipts (
        device BLOB NOT NULL, key BLOB NOT NULL, digest BLOB NOT NULL, reply BLOB NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (device, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX receipts_at ON receipts (at);
    CREATE TABLE public_addresses (place INTEGER PRIMARY KEY, address TEXT NOT NULL) STRICT;
",
    "CREATE INDEX links_of ON links (creator, expires);",
    "
    ALTER TABLE devices ADD COLUMN name TEXT NOT NULL DEFAULT '';
    ALTER TABLE devices ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE devices ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;
    UPDATE devices SET added = (SELECT created FROM accounts WHERE id = account);
    CREATE INDEX devices_of ON devices (account);
    CREATE TABLE device_codes (
        token BLOB PRIMARY KEY, account BLOB NOT NULL REFERENCES accounts(id), maker BLOB NOT NULL,
        expires INTEGER NOT NULL, asks INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX device_codes_of ON device_codes (account, expires);
    ALTER TABLE contacts ADD COLUMN vouch BLOB;
    CREATE INDEX contacts_with ON contacts (with_account);
    -- A contact that waits as an event (0), or was an answer (5), ends with what was vouched: nothing.
    UPDATE events SET body = CAST(body || x'00' AS BLOB) WHERE substr(body, 1, 1) = x'00';
    UPDATE receipts SET reply = CAST(reply || x'00' AS BLOB) WHERE substr(reply, 1, 1) = x'05';
",
    "
    ALTER TABLE accounts ADD COLUMN opted_out INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN muted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX contacts_since ON contacts (of_account, since);
    CREATE TABLE reports (
        number INTEGER PRIMARY KEY AUTOINCREMENT, by_account BLOB REFERENCES accounts(id),
        about_account BLOB REFERENCES accounts(id), reason INTEGER NOT NULL, words TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX reports_by ON reports (by_account, at);
    CREATE INDEX reports_about ON reports (about_account);
    -- Behind that stands that it is neither blocked nor muted, in events of changes (11) too; what an account is told of
    -- itself (3) ends with that it has not opted out.
    UPDATE events SET body = CAST(body || x'0000' AS BLOB) WHERE substr(body, 1, 1) IN (x'00', x'0b');
    UPDATE receipts SET reply = CAST(reply || x'0000' AS BLOB) WHERE substr(reply, 1, 1) = x'05';
    UPDATE receipts SET reply = CAST(reply || x'00' AS BLOB) WHERE substr(reply, 1, 1) = x'03';
",
    "
    CREATE INDEX birth_dates ON accounts (birth_date) WHERE birth_date IS NOT NULL;
    -- A digest that may have been taken of a birth date, among what was answered with that it is done (1) or with the account
    -- (3), is forgotten: `rules::UNTOLD`.
    UPDATE receipts SET digest = zeroblob(32) WHERE substr(reply, 1, 1) IN (x'01', x'03');
",
    "
    CREATE TABLE conversations (
        id BLOB PRIMARY KEY, generation INTEGER NOT NULL, epoch INTEGER NOT NULL,
        newest INTEGER NOT NULL, forgotten INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE conversation_members (
        conversation BLOB NOT NULL, account BLOB NOT NULL, PRIMARY KEY (conversation, account)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX conversations_of ON conversation_members (account, conversation);
    CREATE TABLE conversation_cursors (
        conversation BLOB NOT NULL, device BLOB NOT NULL, upto INTEGER NOT NULL,
        PRIMARY KEY (conversation, device)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX cursors_of ON conversation_cursors (device);
    CREATE TABLE conversation_log (
        conversation BLOB NOT NULL, sequence INTEGER NOT NULL, generation INTEGER NOT NULL,
        epoch INTEGER NOT NULL, device BLOB NOT NULL, post BLOB, at INTEGER NOT NULL, body BLOB,
        PRIMARY KEY (conversation, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX posts ON conversation_log (conversation, post) WHERE post IS NOT NULL;
    CREATE INDEX log_at ON conversation_log (at);
    CREATE TABLE key_packages (
        device BLOB NOT NULL, number INTEGER NOT NULL, package BLOB NOT NULL, PRIMARY KEY (device, number)
    ) STRICT, WITHOUT ROWID;
",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as the version before step `steps` left it.
    fn at(steps: usize) -> Connection {
        let connection = Connection::open_in_memory().expect("opens");
        for step in &MIGRATIONS[..steps] {
            connection.execute_batch(step).expect("applies");
        }
        connection.pragma_update(None, "user_version", i64::try_from(steps).expect("few")).expect("sets");
        connection
    }

    fn tables(connection: &Connection) -> Vec<String> {
        let mut all =
            connection.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY 1").expect("reads");
        all.query_map([], |row| row.get(0)).expect("reads").map(|row| row.expect("text")).collect()
    }

    #[test]
    fn a_database_of_every_older_version_becomes_what_a_new_one_is() {
        assert_eq!(usize::try_from(VERSION).expect("few"), MIGRATIONS.len());
        let mut new = at(0);
        migrate(&mut new).expect("makes");
        for steps in 1..=MIGRATIONS.len() {
            let mut older = at(steps);
            older
                .execute_batch(
                    "INSERT INTO join_permits (fingerprint, uses_left, expires) VALUES (x'00', 3, 9)",
                )
                .expect("writes");
            migrate(&mut older).expect("migrates");
            assert_eq!(version(&older).expect("reads"), VERSION);
            assert_eq!(tables(&older), tables(&new), "from version {steps}");
            let kept: i64 =
                older.query_row("SELECT uses_left FROM join_permits", [], |row| row.get(0)).expect("kept");
            assert_eq!(kept, 3, "from version {steps}");
        }
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let mut newer = at(1);
        newer.pragma_update(None, "user_version", VERSION + 1).expect("sets");
        let before = tables(&newer);
        assert!(matches!(migrate(&mut newer), Err(StoreError::Newer { .. })));
        assert_eq!(tables(&newer), before);
    }
}
