-- partitions 0001: the outbox in pieces that are dropped whole.
--
-- Runs once, on the empty table, in the transaction that makes it; a table with rows stays as it is.
--
-- By created_at, which nobody supplies: by seq a quiet outbox would keep its last rows for ever, and by xid the clock
-- could not say when a piece is full. The key becomes (seq, created_at), because a unique index must have the column
-- that says where a row lies; seq is unique without it, as the sequence never turns back.
--
-- What is safe never depends on which row lies where: see detach_partition.
do $do$
begin
  if to_regclass('{schema}.relay_cursor') is not null or exists (select from {schema}.outbox) then
    raise exception 'the outbox is in use: partitions are chosen when it is made' using errcode = 'object_in_use';
  end if;
end
$do$;
alter table {schema}.outbox rename to outbox_plain;
alter sequence {schema}.outbox_seq_seq rename to outbox_plain_seq;
alter index {schema}.outbox_pkey rename to outbox_plain_pkey;
alter index {schema}.outbox_xid rename to outbox_plain_xid;

create table {schema}.outbox (
  like {schema}.outbox_plain including all excluding indexes,
  primary key (seq, created_at)
) partition by range (created_at);

drop table {schema}.outbox_plain;

create index outbox_xid on {schema}.outbox (xid, seq);

-- Takes what no other partition takes, so that no insert ever fails: before the first relay has made one, and when no
-- relay has run for so long that they are used up. Its rows are deleted, like those of a table without partitions.
create table {schema}.outbox_default partition of {schema}.outbox default with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 20000,
  toast.autovacuum_vacuum_cost_delay = 0
);

revoke truncate on {schema}.outbox, {schema}.outbox_default from public;

comment on table {schema}.outbox is 'twinbox: events that committed with their cause and wait for a relay; insert only; partitions are dropped whole';
comment on table {schema}.outbox_default is 'twinbox: events for which no partition was made ahead';
comment on index {schema}.outbox_xid is 'windows of the snapshot cursor and retention';

analyze {schema}.outbox;
