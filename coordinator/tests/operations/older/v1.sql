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
