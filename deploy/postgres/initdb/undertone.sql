-- The user of Undertone and its database, which it owns; the image runs this once, when it has made the cluster.
\set password `cat /run/secrets/postgres/undertone`
CREATE ROLE undertone LOGIN PASSWORD :'password';
CREATE DATABASE undertone OWNER undertone;
REVOKE ALL ON DATABASE undertone FROM PUBLIC;
