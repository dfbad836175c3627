-- inbox 0001: what consumers remember: which effects are durable, how far each stream is, and who may act for it.
--
-- A unique index must contain the partition column, so the inbox is partitioned by a number that only the rotation changes
-- (rotate_inbox), not by time: a redelivery after midnight is still known. Two generations are kept and both are asked, so
-- an id lives for one to two retentions. Old ones are dropped, never deleted.
create table {schema}.inbox_generation (
  one         boolean primary key default true check (one),
  current     int not null,
  started_at  timestamptz not null default clock_timestamp(),
  previous_at timestamptz
);

comment on table {schema}.inbox_generation is 'twinbox: the generation of the inbox that is being written; one row';
comment on column {schema}.inbox_generation.current is 'its number; the one before it is asked too';
comment on column {schema}.inbox_generation.started_at is 'when it began';
comment on column {schema}.inbox_generation.previous_at is 'when the one before it began; null = there is none';

create sequence {schema}.inbox_number as int;

comment on sequence {schema}.inbox_number is 'twinbox: the current generation, seen by every snapshot: tells a transaction that is older than a rotation';

-- Generation last: what is asked for by id is then found in every generation that is kept, whatever its number.
create table {schema}.inbox (
  generation   int not null,
  consumer     text not null,
  message_id   uuid not null,
  replay_epoch int not null default 0,
  state        text not null default 'done' check (state in ('done', 'dropped')),
  processed_at timestamptz not null default now(),
  primary key (consumer, message_id, replay_epoch, generation)
) partition by list (generation);

comment on table {schema}.inbox is 'twinbox: events whose effect is durable, per consumer; partitioned by generation, old ones are dropped';
comment on column {schema}.inbox.message_id is 'the event''s id, or a business key''s';
comment on column {schema}.inbox.replay_epoch is '0, or the number of a reprocessing';
comment on column {schema}.inbox.state is 'done = its effect is durable; dropped = given up, by a person or for good: it is not done any more';

-- The first one.
insert into {schema}.inbox_generation (current) values (nextval('{schema}.inbox_number'));
create table {schema}.inbox_1 partition of {schema}.inbox for values in (1);

create table {schema}.consumer (
  consumer  text primary key,
  retention interval not null,
  seen_at   timestamptz not null default clock_timestamp()
);

comment on table {schema}.consumer is 'twinbox: consumers that use this inbox; one generation lasts as long as the longest retention';
comment on column {schema}.consumer.retention is 'how long an id is remembered at least';
comment on column {schema}.consumer.seen_at is 'when a process of it last said so';

-- One row per consumer and stream, changed by every effect transaction in its last statement. No index on anything that
-- changes, and room in each page: the row stays where it is. No topic id in the key: a topic that was made anew has a
-- position of record all the same, so what it lost is told instead of starting over.
create table {schema}.consumer_position (
  consumer    text not null,
  topic       text not null,
  partition   int not null default -1,
  next_offset bigint,
  epoch       bigint not null default 0,
  holder      uuid,
  counter     bigint not null default 0,
  system_id   bigint,
  timeline    int,
  tried_to    bigint,
  tried_by    uuid,
  tried_until timestamptz,
  care        int not null default 0,
  alone_at    bigint,
  alone_times int not null default 0,
  primary key (consumer, topic, partition)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

comment on table {schema}.consumer_position is 'twinbox: the position of record of each stream of a consumer, who may act for it, and the claim that a dead owner leaves';
comment on column {schema}.consumer_position.topic is 'topic or queue';
comment on column {schema}.consumer_position.partition is '-1 where there are none';
comment on column {schema}.consumer_position.next_offset is 'everything below it is settled; null = never begun';
comment on column {schema}.consumer_position.epoch is 'grows with every take-over; every write for the stream carries it';
comment on column {schema}.consumer_position.holder is 'random id of the owner; fences together with epoch';
comment on column {schema}.consumer_position.counter is 'grows with every effect transaction: a database that went back is noticed';
comment on column {schema}.consumer_position.system_id is 'system identifier of the cluster at the last take-over';
comment on column {schema}.consumer_position.timeline is 'timeline at the last take-over';
comment on column {schema}.consumer_position.tried_to is 'the handler may have been called for everything below it; null = a clean hand-over';
comment on column {schema}.consumer_position.tried_by is 'holder that signed it';
comment on column {schema}.consumer_position.tried_until is 'no call of that holder lasts longer';
comment on column {schema}.consumer_position.care is 'how many owners in a row died with a claim';
comment on column {schema}.consumer_position.alone_at is 'offset that is tried alone';
comment on column {schema}.consumer_position.alone_times is 'how often it was tried alone and the process died';
