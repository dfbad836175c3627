-- cursor: confirm
-- Writes what is left of windows and forgets windows that are settled. 0 = fenced, nothing was written.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
given as (
  select n.number, coalesce(array_agg(s.seq order by s.at) filter (where s.seq is not null), '{}') as rest
  from unnest($4::bigint[]) n (number)
  left join unnest($5::bigint[], $6::bigint[]) with ordinality s (number, seq, at) on s.number = n.number
  group by n.number
),
written as (
  update {schema}.relay_window w
  set rest = g.rest
  from given g, fence
  where w.relay = $1::text and w.number = g.number
),
forgotten as (
  delete from {schema}.relay_window w
  using fence
  where w.relay = $1::text and w.number = any ($7::bigint[])
)
select count(*) from fence
