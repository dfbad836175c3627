-- payload: json.
--
-- Runs once, on the empty table, before the functions that take a payload are made.
alter table {schema}.outbox alter column payload type json using payload::json;
