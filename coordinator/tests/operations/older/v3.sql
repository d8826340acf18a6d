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
