-- letters 0001: blocked lanes and their stored messages, and who did what about them.
--
-- Beside an outbox (side relay) and beside an inbox (side consumer): two databases may both have it. A lane is blocked
-- exactly while its row exists; whoever changes its letters locks that row first; closing the last letter deletes it, in
-- a later statement. What people see (parked, scheduled, deferred, queued) is derived from cause, due and place.
create table {schema}.lane (
  side       text not null check (side in ('relay', 'consumer')),
  owner      text not null,
  lane       text not null,
  cause      text not null check (cause in ('rejected', 'resting', 'destination', 'paused')),
  due        timestamptz not null default 'infinity',
  attempts   int not null default 0,
  claimed_by text,
  primary key (side, owner, lane)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index lane_due on {schema}.lane (side, owner, due);

comment on table {schema}.lane is 'twinbox: blocked lanes; a lane is blocked exactly while its row exists';
comment on column {schema}.lane.owner is 'name of the relay or consumer';
comment on column {schema}.lane.lane is 'destination and key, or topic, partition and key';
comment on column {schema}.lane.cause is 'why its head is stored: rejected = parked, resting = scheduled, destination = deferred, paused = by an operator';
comment on column {schema}.lane.due is 'when the owner tries the head again; infinity = when released';
comment on column {schema}.lane.attempts is 'attempts at the head since it was stored';
comment on column {schema}.lane.claimed_by is 'process that has taken it out for delivery';
comment on index {schema}.lane_due is 'picking what is due';

create table {schema}.letter (
  letter           bigint generated always as identity primary key,
  side             text not null check (side in ('relay', 'consumer')),
  owner            text not null,
  lane             text not null,
  place            text not null,
  closed           text check (closed in ('delivered', 'dropped', 'dead')),
  closed_at        timestamptz,
  seq              bigint,
  message_id       uuid not null,
  replay_epoch     int not null default 0,
  aggregatetype    text,
  type             text,
  key              bytea,
  payload          bytea,
  headers          jsonb,
  traceparent      text,
  occurred_at      timestamptz,
  source_topic     text,
  source_partition int,
  source_offset    bigint,
  attempts         int not null default 0,
  error_kind       text,
  error_type       text,
  error_message    text,
  error_chain      jsonb,
  fingerprint      text,
  first_failed_at  timestamptz,
  last_failed_at   timestamptz,
  trace_id         text,
  epoch            bigint
);
create index letter_open on {schema}.letter (side, owner, lane, place) where closed is null;
create unique index letter_seq on {schema}.letter (owner, seq, replay_epoch)
  where side = 'relay' and closed is distinct from 'delivered';
create unique index letter_id on {schema}.letter (owner, message_id, replay_epoch)
  where side = 'consumer' and closed is null;

comment on table {schema}.letter is 'twinbox: stored messages of blocked lanes, with their bytes and everything known about why';
comment on column {schema}.letter.place is 'place in the lane; sorts as text (zero-padded position)';
comment on column {schema}.letter.closed is 'null = open; dropped and dead are dedupe facts and stay';
comment on column {schema}.letter.seq is 'outbox row (side relay): with replay_epoch the identity of the letter';
comment on column {schema}.letter.aggregatetype is 'of the outbox row, which retention may delete meanwhile; so are type, traceparent and occurred_at';
comment on column {schema}.letter.payload is 'the bytes as received, or as the outbox row has them';
comment on column {schema}.letter.attempts is 'failures that spoke of this message';
comment on column {schema}.letter.fingerprint is 'letters with the same error share it';
comment on column {schema}.letter.epoch is 'epoch of the owner that stored it';
comment on index {schema}.letter_open is 'open letters of a lane in order';
comment on index {schema}.letter_seq is 'a row is stored once; also finds dropped and dead ones';
comment on index {schema}.letter_id is 'a second store of a message is a no-op';

create table {schema}.audit (
  audit  bigint generated always as identity primary key,
  at     timestamptz not null default clock_timestamp(),
  actor  text not null default session_user,
  verb   text not null,
  object text not null,
  count  bigint not null default 1,
  reason text,
  detail jsonb
);
create index audit_at on {schema}.audit (at);

comment on table {schema}.audit is 'twinbox: who released, discarded, replayed, rewound or accepted what, and why';
comment on column {schema}.audit.actor is 'who; the login role unless the command names a person';
comment on column {schema}.audit.verb is 'release, discard, replay, accept and so on';
comment on column {schema}.audit.object is 'what it was done to: a lane, a range, a relay';
comment on column {schema}.audit.count is 'how many messages it touched';
comment on index {schema}.audit_at is 'the latest first';
