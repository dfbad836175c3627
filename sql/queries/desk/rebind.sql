-- desk: rebind
-- Every relay of this outbox: its old holder is fenced out, its positions are those of another history.
update {schema}.relay_cursor c
set system_id = (select s.system_identifier from pg_control_system() s),
  database = current_database(),
  timeline = $1::int,
  position_epoch = greatest(c.position_epoch + 1, $1::bigint << 32),
  holder = null, epoch = c.epoch + 1, lease_until = '-infinity'
returning c.relay
