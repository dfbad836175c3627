-- retention: sweep
-- Rows that no partition took, as `delete` does it. From the head: there are few, and where the last batch of `delete`
-- ended says nothing of them. 0 fences = nothing was deleted.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
),
gone as (
  select o.ctid
  from {schema}.outbox_default o
  where o.xid < $4::xid8
  order by o.xid
  limit $5::bigint
),
deleted as (
  delete from {schema}.outbox_default o
  using gone g, fence
  where o.ctid = g.ctid
  returning 1
)
select (select count(*) from fence) as fences, (select count(*) from deleted) as rows, (select count(*) from gone) as found
