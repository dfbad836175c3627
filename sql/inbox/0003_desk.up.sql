-- inbox 0003: what an operator needs to move a consumer: why a stream stopped, and which offsets are to be done again.
--
-- Whoever moves a stream raises its epoch and takes the holder away: nothing that was begun before can be written, and the
-- owner, which looks once a second, takes the stream over anew.
alter table {schema}.consumer_position
  add column stopped_kind text,
  add column stopped_from bigint,
  add column stopped_to bigint,
  add column stopped_at timestamptz;

comment on column {schema}.consumer_position.stopped_kind is 'the incident that stopped the stream; null = it is not stopped';
comment on column {schema}.consumer_position.stopped_from is 'the offset that should have been read next';
comment on column {schema}.consumer_position.stopped_to is 'where it goes on once somebody accepts it';
comment on column {schema}.consumer_position.stopped_at is 'when it stopped';

-- Numbers of reprocessings stand apart from those that a replay of an outbox gives its messages, which may come from
-- another database.
create sequence {schema}.reprocess_number as int start 1073741824 minvalue 1073741824;

comment on sequence {schema}.reprocess_number is 'twinbox: replay epochs of recorded ranges; those in a message''s header are smaller';

create table {schema}.consumer_range (
  consumer     text not null,
  topic        text not null,
  partition    int not null,
  from_offset  bigint not null,
  to_offset    bigint not null,
  replay_epoch int not null default 0,
  rate         int,
  made_at      timestamptz not null default clock_timestamp(),
  range        bigint generated always as identity,
  primary key (consumer, topic, partition, range),
  check (from_offset < to_offset)
);

comment on table {schema}.consumer_range is 'twinbox: offsets to which a consumer was rewound; how a message in them is remembered belongs to its offset, not to the moment it is read';
comment on column {schema}.consumer_range.from_offset is 'the first of them';
comment on column {schema}.consumer_range.to_offset is 'the first behind them';
comment on column {schema}.consumer_range.replay_epoch is '0 = what is done is skipped; else done again under that number. The latest range that has an offset decides';
comment on column {schema}.consumer_range.rate is 'messages a second at most, while they are read again; null = as fast as they come';
comment on column {schema}.consumer_range.made_at is 'when it was recorded';
comment on column {schema}.consumer_range.range is 'the later, the larger';
