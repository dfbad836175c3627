-- letters 0003: what an operator holds back by hand.
--
-- A pause is one row, and nothing else says that a lane is paused: lanes that were stored because of it are due all the
-- time, and are not picked while the row exists. So whoever resumes deletes a row, at whatever moment, and nothing stays
-- behind. It lasts until somebody resumes it, across restarts and owners.
create table {schema}.pause (
  side   text not null check (side in ('relay', 'consumer')),
  owner  text not null,
  ending text not null,
  key    bytea,
  actor  text not null default session_user,
  reason text,
  since  timestamptz not null default clock_timestamp(),
  primary key (side, owner, ending),
  check ((ending = '') = (key is null))
);

comment on table {schema}.pause is 'twinbox: relays, consumers and keys that an operator holds back, until it is resumed';
comment on column {schema}.pause.owner is 'name of the relay or consumer';
comment on column {schema}.pause.ending is 'what the names of the key''s lanes end with; empty = everything of the owner';
comment on column {schema}.pause.key is 'the ordering key; null = everything of the owner';
comment on column {schema}.pause.actor is 'who; the login role unless the command names a person';
