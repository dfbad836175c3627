-- outbox 0002: what relays remember.
--
-- One row per relay name for identity, lease and fence; one appended row per write-ahead window. Windows are appended,
-- not updated in place: with an old snapshot open anywhere a row updated per window costs more with every update. No
-- foreign keys: they would lock the relay_cursor row once more per window; `forget` deletes from all of them.
create table {schema}.relay_cursor (
  relay          text primary key,
  source         text not null check (source in ('cursor', 'wal', 'catching_up')),
  wake           smallint not null generated always as identity unique,
  holder         text,
  epoch          bigint not null default 0,
  lease_until    timestamptz not null default '-infinity',
  position_epoch bigint not null,
  system_id      bigint,
  database       text,
  timeline       int,
  route          text,
  retention      interval,
  slot           text,
  checkpoint     pg_lsn,
  mark           pg_snapshot,
  deleted_up_to  xid8
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

comment on table {schema}.relay_cursor is 'twinbox: one row per relay: who leads, under which epoch, in which history of the database';
comment on column {schema}.relay_cursor.source is 'cursor, wal, or catching_up: wal that reads the table for now';
comment on column {schema}.relay_cursor.wake is 'advisory lock number that the relay holds while it sleeps; writers notify only then';
comment on column {schema}.relay_cursor.holder is 'random id of the process that holds the lease; fences together with epoch';
comment on column {schema}.relay_cursor.epoch is 'grows with every take-over; every write of a relay carries it';
comment on column {schema}.relay_cursor.lease_until is 'end of the lease by the database''s clock';
comment on column {schema}.relay_cursor.position_epoch is 'first part of twinbox-position; grows when the history of the database may have changed';
comment on column {schema}.relay_cursor.system_id is 'system identifier of the cluster in which the windows are valid';
comment on column {schema}.relay_cursor.database is 'database in which the windows are valid';
comment on column {schema}.relay_cursor.timeline is 'highest timeline seen; a lower one is an old primary that came back';
comment on column {schema}.relay_cursor.route is 'route under which the open letters were stored; another one would let live messages overtake them';
comment on column {schema}.relay_cursor.retention is 'how long settled rows are kept for this relay; null = for ever; the longest of all relays wins';
comment on column {schema}.relay_cursor.slot is 'replication slot (wal only)';
comment on column {schema}.relay_cursor.checkpoint is 'commit-end LSN up to which all is settled (wal only)';
comment on column {schema}.relay_cursor.mark is 'everything visible in it is settled: the floor when the slot is lost (wal only)';
comment on column {schema}.relay_cursor.deleted_up_to is 'highest xid that retention has deleted; the next batch starts here';

create table {schema}.relay_window (
  relay     text not null,
  number    bigint not null,
  upper     pg_snapshot not null,
  rest      bigint[],
  opened_at timestamptz not null default clock_timestamp(),
  primary key (relay, number)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = off);

comment on table {schema}.relay_window is 'twinbox: windows written before they are published; window n = rows visible in upper(n) and not in upper(n-1)';
comment on column {schema}.relay_window.number is 'middle part of twinbox-position; the lowest number is the floor, of which all is settled';
comment on column {schema}.relay_window.upper is 'snapshot that closes the window';
comment on column {schema}.relay_window.rest is 'seqs not settled yet, ascending; null = all, {} = none; a last element -n stands for everything above n';

create table {schema}.relay_destination (
  relay       text not null,
  destination text not null,
  partitions  int not null,
  topic_id    text,
  acked       bigint[] not null default '{}',
  seen_at     timestamptz not null default clock_timestamp(),
  primary key (relay, destination)
) with (fillfactor = 70);

comment on table {schema}.relay_destination is 'twinbox: what a relay last saw of each destination, read before the first publish';
comment on column {schema}.relay_destination.partitions is 'partition count by which keys were placed';
comment on column {schema}.relay_destination.topic_id is 'id of the topic where the client can know it: tells a recreated topic';
comment on column {schema}.relay_destination.acked is 'last acknowledged offset per partition; -1 = none';

create table {schema}.relay_horizon (
  noted_at timestamptz primary key default clock_timestamp(),
  horizon  xid8 not null default pg_snapshot_xmin(pg_current_snapshot())
);

comment on table {schema}.relay_horizon is 'twinbox: which transactions had finished at which time: retention by age without an index on created_at';
comment on column {schema}.relay_horizon.horizon is 'every transaction below it had finished at noted_at';

create table {schema}.acceptance (
  acceptance bigint generated always as identity primary key,
  relay      text not null,
  kind       text not null,
  at         timestamptz not null default clock_timestamp(),
  actor      text not null default session_user,
  reason     text,
  used_at    timestamptz
);
create index acceptance_open on {schema}.acceptance (relay, kind) where used_at is null;

comment on table {schema}.acceptance is 'twinbox: incidents that an operator accepted (twinbox accept NAME KIND); the stopped relay reads it and goes on';
comment on column {schema}.acceptance.kind is 'kind of the incident, for example system_changed';
comment on column {schema}.acceptance.used_at is 'when the relay went on because of it; an acceptance serves once';
comment on index {schema}.acceptance_open is 'what a stopped relay looks for';
