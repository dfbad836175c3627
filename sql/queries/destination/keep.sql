-- destination: keep
-- 0 = fenced. -1 stands for a partition without an acknowledged offset.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
kept as (
  insert into {schema}.relay_destination as d (relay, destination, partitions, acked)
  select
    $1::text, s.destination, s.partitions,
    coalesce((
      select array_agg(o.acked order by o.at)
      from unnest($6::text[], $7::bigint[]) with ordinality o (destination, acked, at)
      where o.destination = s.destination
    ), '{}')
  from unnest($4::text[], $5::int[]) s (destination, partitions), fence
  order by s.destination
  on conflict (relay, destination) do update
  set partitions = excluded.partitions, acked = excluded.acked, seen_at = clock_timestamp()
)
select count(*) from fence
