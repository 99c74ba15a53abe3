-- Format 1. Every body is a checksummed envelope; docs/capture-format.md specifies its content.
CREATE TABLE head (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE series (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE journal (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    target INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE gap (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE truth (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
