-- The two databases, each with an owner of its own who can't see the other. psql reads the passwords from its environment, not from its arguments.
-- PostgreSQL's image runs this once, on an empty volume; elsewhere: psql -v ON_ERROR_STOP=1 -f databases.sql as the administrator.
-- Prefect's migrations create pg_trgm in their database: a trusted extension, which the database's owner may create (PostgreSQL 13 and newer).
\getenv ledger_password LEDGER_DATABASE_PASSWORD
\getenv prefect_password SERVER_DATABASE_PASSWORD
CREATE ROLE ffe LOGIN PASSWORD :'ledger_password';
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE DATABASE ffe OWNER ffe;
CREATE DATABASE prefect OWNER prefect;
REVOKE CONNECT ON DATABASE ffe FROM PUBLIC;
REVOKE CONNECT ON DATABASE prefect FROM PUBLIC;
