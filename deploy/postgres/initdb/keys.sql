-- The database of the key directory and its user, which reaches no other; used while data is sealed (UNDERTONE_SEAL=on).
\set password `cat /run/secrets/postgres/keys`
CREATE ROLE undertone_keys LOGIN PASSWORD :'password';
CREATE DATABASE undertone_keys OWNER undertone_keys;
REVOKE ALL ON DATABASE undertone_keys FROM PUBLIC;
