//! All that is held about one account: to be shown to it, and to be erased. Every table stands in both lists, or in the
//! list of those that name nobody; a test holds them against the tables that there are.

use std::io::{self, Write};

use jamsync_protocol::{id::AccountId, wire::coord::CoordEvent};
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::Rows;
use crate::store::{
    StoreError,
    rows::{column, db, value},
};

/// Each table, and which of its rows and columns tell about the account `?1`. What another account has said about it,
/// a block or a complaint, is the other's.
pub(super) const HELD: [(&str, &str); 16] = [
    ("accounts", "SELECT * FROM accounts WHERE id = ?1"),
    ("devices", "SELECT * FROM devices WHERE account = ?1 ORDER BY added"),
    ("device_codes", "SELECT * FROM device_codes WHERE account = ?1"),
    ("links", "SELECT * FROM links WHERE creator = ?1 OR accepter = ?1"),
    (
        "contacts",
        "SELECT a.handle, c.* FROM contacts c JOIN accounts a ON a.id = c.with_account WHERE c.of_account = ?1",
    ),
    ("requests", "SELECT * FROM requests WHERE from_account = ?1 OR to_account = ?1 ORDER BY created"),
    ("jams", "SELECT j.* FROM jams j JOIN participants p ON p.jam = j.id WHERE p.account = ?1"),
    ("participants", "SELECT * FROM participants WHERE account = ?1"),
    (
        "events",
        "SELECT device, number, body FROM events WHERE device IN (SELECT key FROM devices WHERE account = ?1)
         ORDER BY device, number",
    ),
    (
        "receipts",
        "SELECT device, count(*) AS count FROM receipts
         WHERE device IN (SELECT key FROM devices WHERE account = ?1) GROUP BY device",
    ),
    (
        "conversations",
        "SELECT c.* FROM conversations c JOIN conversation_members m ON m.conversation = c.id WHERE m.account = ?1",
    ),
    ("conversation_members", "SELECT * FROM conversation_members WHERE account = ?1"),
    (
        "conversation_cursors",
        "SELECT * FROM conversation_cursors WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    ),
    (
        "conversation_log",
        "SELECT * FROM conversation_log WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    ),
    (
        "key_packages",
        "SELECT * FROM key_packages WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    ),
    ("reports", "SELECT number, about_account, reason, words, at FROM reports WHERE by_account = ?1"),
];

/// What removes the account `?1`, in an order that no reference hinders.
const ERASE: [&str; 17] = [
    "DELETE FROM events WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    "DELETE FROM receipts WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    "DELETE FROM device_codes WHERE account = ?1",
    "DELETE FROM links WHERE creator = ?1 OR accepter = ?1",
    "DELETE FROM contacts WHERE of_account = ?1 OR with_account = ?1",
    "DELETE FROM requests WHERE from_account = ?1 OR to_account = ?1",
    "DELETE FROM participants WHERE jam IN (SELECT jam FROM participants WHERE account = ?1)",
    "DELETE FROM jams WHERE ?1 IS NOT NULL AND id NOT IN (SELECT jam FROM participants)",
    "DELETE FROM conversation_log WHERE conversation IN (
        SELECT conversation FROM conversation_members WHERE account = ?1)",
    "DELETE FROM conversation_cursors WHERE conversation IN (
        SELECT conversation FROM conversation_members WHERE account = ?1)",
    "DELETE FROM conversations WHERE id IN (SELECT conversation FROM conversation_members WHERE account = ?1)",
    "DELETE FROM conversation_members WHERE conversation IN (
        SELECT conversation FROM conversation_members WHERE account = ?1)",
    "DELETE FROM key_packages WHERE device IN (SELECT key FROM devices WHERE account = ?1)",
    "UPDATE reports SET by_account = NULL WHERE by_account = ?1",
    "UPDATE reports SET about_account = NULL WHERE about_account = ?1",
    "DELETE FROM devices WHERE account = ?1",
    "DELETE FROM accounts WHERE id = ?1",
];

impl Rows<'_> {
    pub(super) fn held(&self, account: AccountId, out: &mut dyn Write) -> Result<(), StoreError> {
        let mut before = "{";
        for (table, sql) in HELD {
            write!(out, "{before}\"{table}\":[").map_err(unwritten)?;
            before = ",";
            let mut statement = self.prepare(sql).map_err(db)?;
            let names: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
            let mut found = statement.query([account.0]).map_err(db)?;
            let mut between = "";
            while let Some(row) = found.next().map_err(db)? {
                let mut object = Map::new();
                for (index, name) in names.iter().enumerate() {
                    object.insert(name.clone(), json(row.get_ref(index).map_err(db)?));
                }
                write!(out, "{between}{}", Value::Object(object)).map_err(unwritten)?;
                between = ",";
            }
            write!(out, "]").map_err(unwritten)?;
        }
        write!(out, "}}").map_err(unwritten)
    }

    pub(super) fn erase(&self, account: AccountId) -> Result<(), StoreError> {
        self.erase_events_about(account)?;
        for sql in ERASE {
            self.prepare(sql).and_then(|mut statement| statement.execute([account.0])).map_err(db)?;
        }
        Ok(())
    }

    /// Reads every event that waits for anybody, because a former friend may be kept one as well.
    fn erase_events_about(&self, account: AccountId) -> Result<(), StoreError> {
        let mut statement = self.prepare(EVENTS_ABOUT).map_err(db)?;
        let mut found = statement.query([account.0]).map_err(db)?;
        let mut gone = Vec::new();
        while let Some(row) = found.next().map_err(db)? {
            if !is_farewell(&value(&column::<Vec<u8>>(row, 2)?, "event")?) {
                gone.push((column::<[u8; 32]>(row, 0)?, column::<i64>(row, 1)?));
            }
        }
        for (device, number) in gone {
            self.prepare("DELETE FROM events WHERE device = ?1 AND number = ?2")
                .and_then(|mut statement| statement.execute((device, number)))
                .map_err(db)?;
        }
        Ok(())
    }
}

fn unwritten(error: io::Error) -> StoreError {
    StoreError::Database(error.to_string())
}

/// Every event that waits for anybody and holds the id of the account `?1`, or the key of a device that it ever had.
const EVENTS_ABOUT: &str = "SELECT device, number, body FROM events WHERE instr(body, ?1) > 0
     OR EXISTS (SELECT 1 FROM devices d WHERE d.account = ?1 AND instr(body, d.key) > 0)";

/// Whether an event says no more of an account than that it is gone, which its friends have to hear.
const fn is_farewell(event: &CoordEvent) -> bool {
    matches!(event, CoordEvent::ContactRemoved { .. } | CoordEvent::JamEnded { .. })
}

/// A column as people read it: times in nanoseconds since 1970, keys and what has a form of its own in hexadecimal
/// digits.
fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::schema;

    /// What names no account.
    const NAMELESS: [&str; 2] = ["join_permits", "public_addresses"];

    #[test]
    fn every_table_that_tells_of_somebody_is_shown_and_erased() {
        let mut connection = Connection::open_in_memory().expect("opens");
        schema::migrate(&mut connection).expect("makes");
        let mut tables = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .expect("reads");
        let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("reads");
        for table in tables.map(|table| table.expect("a name")) {
            let shown = HELD.iter().any(|(held, _)| *held == table);
            let erased = ERASE.iter().any(|sql| {
                sql.starts_with(&format!("DELETE FROM {table} "))
                    || sql.starts_with(&format!("UPDATE {table} "))
            });
            let nameless = NAMELESS.contains(&table.as_str());
            assert!((shown && erased) != nameless, "{table}: shown {shown}, erased {erased}");
        }
        let rows = Rows::of(&connection);
        let mut shown = Vec::new();
        rows.held(AccountId([1; 32]), &mut shown).expect("reads");
        let shown: Map<String, Value> = serde_json::from_slice(&shown).expect("JSON");
        assert_eq!(shown.len(), HELD.len());
        rows.erase(AccountId([1; 32])).expect("nobody is erased without harm");
    }
}
