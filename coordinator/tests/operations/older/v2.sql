CREATE INDEX links_of ON links (creator, expires);
