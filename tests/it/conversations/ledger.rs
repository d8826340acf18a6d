//! Which key each sealed message has used, read off its bytes as RFC 9420 lays them out: the conversation, the epoch, the
//! sender's place in it, and the number of the key among those of that place. It follows nothing that a node says of itself but
//! the secret of an epoch that covers these names, which it takes out of a node's database.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    crypto::OpenMlsCrypto as _,
    types::{AeadType, HashType},
};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// All sealed messages that were seen, and what it takes to read whose key they have used.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    secrets: BTreeSet<Vec<u8>>,
    sealed: BTreeSet<Vec<u8>>,
}

/// A key: it may seal one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: Vec<u8>,
    pub(crate) epoch: u64,
    /// Messages and changes have keys of their own.
    pub(crate) kind: u8,
    pub(crate) leaf: u32,
    pub(crate) generation: u32,
}

impl Ledger {
    /// Takes what reads the present epochs out of a node's database, which may be in use.
    pub(crate) fn learn(&mut self, database: &Path) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(database, flags).expect("a node's database");
        database.busy_timeout(std::time::Duration::from_secs(5)).expect("set");
        let sql = "SELECT value FROM mls WHERE kind = 'message secrets'";
        let mut statement = database.prepare(sql).expect("the table of keys");
        let values = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("read");
        for value in values {
            let value: Value = serde_json::from_slice(&value.expect("read")).expect("JSON");
            collect(&value, &mut self.secrets);
        }
    }

    /// Notes something sealed that has left a node. The same bytes may be sent again.
    pub(crate) fn note(&mut self, sealed: &[u8]) {
        self.sealed.insert(sealed.to_vec());
    }

    /// How many different messages and changes were seen.
    pub(crate) fn count(&self) -> usize {
        self.sealed.len()
    }

    /// The keys that have sealed more than one thing. Panics where something cannot be read, because nothing is known of it.
    pub(crate) fn used_twice(&self) -> Vec<Key> {
        let mut uses: BTreeMap<Key, usize> = BTreeMap::new();
        for sealed in &self.sealed {
            let frame = Frame::read(sealed).expect("an MLS message that is private");
            let key = self.secrets.iter().find_map(|secret| frame.key(secret));
            let key = key.unwrap_or_else(|| panic!("nothing reads epoch {} of a group", frame.epoch));
            *uses.entry(key).or_default() += 1;
        }
        uses.into_iter().filter(|(_, times)| *times > 1).map(|(key, _)| key).collect()
    }
}

/// Every secret of sender data below a value: the bytes that stand first under that name.
fn collect(value: &Value, secrets: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match bytes_in(field).filter(|_| name == "sender_data_secret") {
                    Some(secret) => drop(secrets.insert(secret)),
                    None => collect(field, secrets),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn bytes_in(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Object(fields) => fields.values().find_map(bytes_in),
        Value::Array(numbers) => numbers.iter().map(|number| u8::try_from(number.as_u64()?).ok()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What stands outside of a private message (RFC 9420, section 6.3).
struct Frame<'a> {
    group: &'a [u8],
    epoch: u64,
    kind: u8,
    sender: &'a [u8],
    ciphertext: &'a [u8],
    /// Everything up to the kind, under which the sender is sealed.
    cover: Vec<u8>,
}

impl<'a> Frame<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut rest = message;
        // Version 1, and the number of private messages.
        if take(&mut rest, 4)? != [0, 1, 0, 2] {
            return None;
        }
        let start = rest;
        let group = vector(&mut rest)?;
        let epoch = u64::from_be_bytes(take(&mut rest, 8)?.try_into().ok()?);
        let kind = take(&mut rest, 1)?[0];
        let cover = start[..start.len() - rest.len()].to_vec();
        vector(&mut rest)?;
        let (sender, ciphertext) = (vector(&mut rest)?, vector(&mut rest)?);
        rest.is_empty().then_some(Self { group, epoch, kind, sender, ciphertext, cover })
    }

    /// The key that sealed it, where `secret` is that of its epoch: otherwise nothing opens.
    fn key(&self, secret: &[u8]) -> Option<Key> {
        let sample = &self.ciphertext[..self.ciphertext.len().min(HASH_BYTES)];
        let [key, nonce] =
            [("key", 16), ("nonce", 12)].map(|(label, length)| expand(secret, label, sample, length));
        let crypto = RustCrypto::default();
        let opened = crypto.aead_decrypt(AeadType::Aes128Gcm, &key, self.sender, &nonce, &self.cover).ok()?;
        let mut rest = &opened[..];
        let leaf = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        let generation = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        Some(Key { group: self.group.to_vec(), epoch: self.epoch, kind: self.kind, leaf, generation })
    }
}

/// `ExpandWithLabel` of RFC 9420, section 8, with SHA-256.
fn expand(secret: &[u8], label: &str, context: &[u8], length: u16) -> Vec<u8> {
    let label = format!("MLS 1.0 {label}");
    let mut info = length.to_be_bytes().to_vec();
    for part in [label.as_bytes(), context] {
        // Both are shorter than 64 bytes, which is where lengths take a second byte.
        info.push(u8::try_from(part.len()).expect("short"));
        info.extend_from_slice(part);
    }
    let expanded = RustCrypto::default().hkdf_expand(HashType::Sha2_256, secret, &info, usize::from(length));
    expanded.expect("a short key").as_slice().to_vec()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// Bytes behind their length, of which the first two bits say in how many bytes it stands.
fn vector<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let first = take(rest, 1)?[0];
    let more = match first >> 6 {
        0 => 0,
        1 => 1,
        2 => 3,
        _ => return None,
    };
    let length =
        take(rest, more)?.iter().fold(usize::from(first & 0x3f), |all, byte| (all << 8) | usize::from(*byte));
    take(rest, length)
}

/// What SHA-256 gives.
const HASH_BYTES: usize = 32;
