-- retention: delete
-- By xid, never by seq: a late committer below the watermark's seq may not be published. From where the last batch ended,
-- never from the head of the index, which is full of dead entries. 0 fences = nothing was deleted.
with fence as (
  select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for no key update
),
gone as (
  select o.tableoid, o.ctid, o.xid
  from {schema}.outbox o
  where o.xid >= $4::xid8 and o.xid < $5::xid8
  order by o.xid
  limit $6::bigint
),
deleted as (
  delete from {schema}.outbox o
  using gone g, fence
  where o.ctid = g.ctid and o.tableoid = g.tableoid
  returning 1
),
reached as (
  -- By what was found, not by what was deleted: another relay may have deleted the same rows meanwhile.
  select case when count(*) < $6::bigint then $5::xid8 else (array_agg(g.xid order by g.xid desc))[1] end as up_to
  from gone g
),
noted as (
  update {schema}.relay_cursor c
  set deleted_up_to = r.up_to
  from reached r, fence
  where c.relay = $1::text and c.deleted_up_to is distinct from r.up_to
)
select (select count(*) from fence) as fences, (select count(*) from deleted) as rows, (select count(*) from gone) as found
