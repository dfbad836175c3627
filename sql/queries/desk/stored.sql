-- desk: stored
-- Blocked lanes of one owner, with their heads; those of one key where $3 says what their names end with.
select
  l.lane, l.cause, case when l.due = 'infinity' then null else l.due end as due, l.attempts,
  head.key, head.first_failed_at, head.error_kind, head.error_type, head.error_message,
  (
    select count(*)
    from {schema}.letter t
    where t.side = l.side and t.owner = l.owner and t.lane = l.lane and t.closed is null
  ) as letters
from {schema}.lane l
left join lateral (
  select *
  from {schema}.letter t
  where t.side = l.side and t.owner = l.owner and t.lane = l.lane and t.closed is null
  order by t.place
  limit 1
) head on true
where l.side = $1::text and l.owner = $2::text
  and ($3::text is null or right(l.lane, length($3::text)) = $3::text)
order by l.lane
limit $4::bigint
