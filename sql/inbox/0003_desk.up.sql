-- inbox 0003: what an operator needs to put a stream that stopped where it can go on.
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
