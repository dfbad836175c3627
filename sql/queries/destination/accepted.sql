-- destination: accepted
-- An acceptance serves once, and what was remembered is forgotten with it. 0 = nobody accepted anything.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
accepted as (
  update {schema}.acceptance a
  set used_at = clock_timestamp()
  from fence
  where a.relay = $1::text and a.kind in ('partitions_changed', 'topic_recreated') and a.used_at is null
  returning a.acceptance
),
forgotten as (
  delete from {schema}.relay_destination d
  where d.relay = $1::text and exists (select from accepted)
)
select count(*) from accepted
