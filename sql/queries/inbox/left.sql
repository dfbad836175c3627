-- inbox: left
-- What the last owner of a stream left, and where we are. Locked: nobody else takes it over meanwhile.
select
  p.counter, p.next_offset, p.tried_to, p.care, p.alone_at, p.alone_times,
  greatest(extract(epoch from p.tried_until - clock_timestamp())::float8, 0) as wait,
  p.system_id, p.timeline,
  (select s.system_identifier from pg_control_system() s) as own_system_id,
  ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as own_timeline,
  p.tried_by
from {schema}.consumer_position p
where p.consumer = $1::text and p.topic = $2::text and p.partition = $3::int
for update
