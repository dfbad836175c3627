-- outbox 0001: the outbox itself.
--
-- Debezium's default outbox columns (id, aggregatetype, aggregateid, type, payload), so that code written for it
-- inserts here unchanged, and columns of ours that all have defaults. Nobody supplies seq, xid or created_at.
--
-- payload is jsonb here; `migrate --payload` turns it into json, bytea or text (sql/payload) before the first row.
create table {schema}.outbox (
  seq           bigint generated always as identity (increment by 1 cache 1 no cycle),
  id            uuid not null default gen_random_uuid(),
  aggregatetype text not null,
  aggregateid   text,
  type          text not null,
  payload       jsonb,
  headers       jsonb,
  traceparent   text,
  xid           xid8 not null default pg_current_xact_id(),
  created_at    timestamptz not null default clock_timestamp(),
  primary key (seq)
);

-- Rows are inserted once, never updated, and deleted in batches by xid. Vacuum after 20,000 dead rows however large the
-- table is, at full speed; never give the file back in between, because truncation locks writers out.
alter table {schema}.outbox set (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = off,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 20000,
  toast.autovacuum_vacuum_cost_delay = 0,
  toast.vacuum_truncate = off
);

-- (xid, seq), not (xid): the bounds of a window come from the index alone. No unique index on id: random pages in the
-- producer's hot path would cost more than a doubled id does, which every consumer's dedupe absorbs.
create index outbox_xid on {schema}.outbox (xid, seq);

-- TRUNCATE would drop rows that nobody has published.
revoke truncate on {schema}.outbox from public;

comment on table {schema}.outbox is 'twinbox: events that committed with their cause and wait for a relay; insert only';
comment on column {schema}.outbox.seq is 'order inside a window; drawn when the row is inserted, so insert after the aggregate is locked';
comment on column {schema}.outbox.id is 'identity of the event for ever; what consumers deduplicate by';
comment on column {schema}.outbox.aggregatetype is 'kind of aggregate; routes by default';
comment on column {schema}.outbox.aggregateid is 'ordering key; null = unordered';
comment on column {schema}.outbox.type is 'type of the event';
comment on column {schema}.outbox.payload is 'body; null = null value on the broker (a tombstone on Kafka)';
comment on column {schema}.outbox.headers is 'extra headers: an object of strings';
comment on column {schema}.outbox.traceparent is 'W3C trace context of the writing transaction; goes out unchanged';
comment on column {schema}.outbox.xid is 'transaction that wrote the row; never supplied, or rows are lost or repeated for ever';
comment on column {schema}.outbox.created_at is 'when the row was inserted (not when its transaction began)';
comment on index {schema}.outbox_xid is 'windows of the snapshot cursor and retention';

analyze {schema}.outbox;
