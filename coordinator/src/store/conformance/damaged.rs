//! Rows that do not hold what this program wrote: whatever stands in a column, reading it gives a value or an error that says
//! so, and never ends the program.

use std::collections::BTreeSet;

use jamsync_protocol::wire::coord::{CoordReply, IdempotencyKey, Sequence};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rusqlite::{Connection, types::Value};

use super::rows::{
    account, code, conversation, entry, event, everything, full_contact, grant, jam, key, link, package,
    permit, report, request, second_device, talk, time,
};
use crate::store::{StoreError, Tables, schema, sqlite::Rows};

/// How often something is damaged, which takes a few milliseconds each.
const CASES: u32 = 400;

/// One of everything.
fn fill(tables: &mut dyn Tables) -> Result<(), StoreError> {
    for number in 1..=3 {
        tables.insert_account(&account(number))?;
        tables.insert_device(&second_device(number))?;
        tables.push_event(key(number), &event(2))?;
    }
    tables.put_contact(&full_contact(1, 2, 3))?;
    tables.put_contact(&full_contact(2, 1, 3))?;
    tables.put_join_permit(permit(1, 9))?;
    tables.put_device_code(code(1, 1, 9))?;
    tables.insert_link(link(1, 1, 9))?;
    tables.insert_request(request(1, 1, 2, 3))?;
    tables.insert_jam(&jam(1, 1, 2, 9), &grant(&jam(1, 1, 2, 9)))?;
    tables.insert_report(&report(1, 2, 3))?;
    tables.set_public_addresses(&["jam.example:4470".to_owned()])?;
    tables.put_conversation(&conversation(1, 2, 1))?;
    tables.put_log_cursor(talk(1, 2), key(1), Sequence(1))?;
    tables.insert_log_row(&entry(1, 1, 2, 3))?;
    tables.add_key_package(key(1), &package(1))?;
    tables.insert_receipt(key(1), IdempotencyKey([1; 16]), [1; 32], &CoordReply::Done, time(3))
}

/// Every column of every table.
fn columns(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT t.name, c.name FROM pragma_table_list t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY 1, 2";
    let mut statement = connection.prepare(sql).expect("reads");
    let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("reads");
    all.map(|column| column.expect("a name")).collect()
}

/// Another value of the kind that the column takes.
fn damaged(value: Value, random: &mut StdRng) -> Value {
    match value {
        Value::Null => Value::Blob(vec![random.random(); random.random_range(0..40)]),
        Value::Integer(_) => Value::Integer(match random.random_range(0..5) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => -1,
            3 => random.random_range(2..300),
            _ => random.random(),
        }),
        Value::Real(_) => Value::Real(random.random()),
        Value::Text(text) => Value::Text(match random.random_range(0..4) {
            0 => String::new(),
            1 => text.repeat(500),
            2 => text.chars().rev().collect(),
            _ => format!("{text}\u{0}\u{202e}é"),
        }),
        Value::Blob(mut bytes) => {
            let at = random.random_range(0..=bytes.len());
            match random.random_range(0..4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.random()),
                2 => bytes.splice(at..at, [0xff; 10]).for_each(drop),
                _ => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = random.random()),
            }
            Value::Blob(bytes)
        }
    }
}

#[test]
fn a_row_with_anything_in_it_is_a_value_or_a_named_error() {
    let seed = 3;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut connection = Connection::open_in_memory().expect("opens");
    schema::migrate(&mut connection).expect("makes");
    connection.execute_batch("PRAGMA foreign_keys = OFF").expect("sets");
    fill(&mut Rows::of(&connection)).expect("filled");
    everything(&Rows::of(&connection)).expect("all of it is sound");
    let columns = columns(&connection);
    let (mut touched, mut values, mut errors) = (BTreeSet::new(), 0, BTreeSet::new());
    for _ in 0..CASES {
        let (table, column) = &columns[random.random_range(0..columns.len())];
        connection.execute_batch("BEGIN").expect("begins");
        let sql = format!("SELECT {column} FROM {table} LIMIT 1");
        let before: Value = connection.query_row(&sql, [], |row| row.get(0)).expect("a row of every table");
        let after = damaged(before, &mut random);
        // The table itself may refuse it.
        let sql = format!("UPDATE {table} SET {column} = ?1");
        if connection.execute(&sql, [&after]).is_ok() {
            touched.insert((table, column));
            match everything(&Rows::of(&connection)) {
                Ok(_) => values += 1,
                Err(error @ (StoreError::Corrupt(_) | StoreError::Database(_))) => {
                    errors.insert(error.to_string());
                }
                Err(other) => panic!("{table}.{column} = {after:?}: {other}"),
            }
        }
        connection.execute_batch("ROLLBACK").expect("taken back");
    }
    println!("{} of {} columns, {values} times read, else {errors:#?}", touched.len(), columns.len());
    let unreadable = errors.iter().filter(|error| error.contains("holds an unreadable")).count();
    assert!(touched.len() * 2 > columns.len() && values > 20 && unreadable > 5, "hardly any damage");
    everything(&Rows::of(&connection)).expect("all of it is sound again");
}
