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
