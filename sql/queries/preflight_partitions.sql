-- preflight: partitions
-- How far ahead the outbox has partitions, what fell into the default one, what was detached, what should be gone, whether
-- this role may make and drop them. By catalogues alone: no rights on the tables are needed to ask. No row: it is not made
-- of partitions.
--
-- emptied: past and without a row, and still there: only the lock for detaching is missing. overdue: past for longer than
-- $2 seconds, with rows, or not plain, which relays leave alone. holders: whose transactions are in the way of that lock
-- just now, our own left out, which are short.
select
  extract(epoch from max(p.upper) - clock_timestamp())::float8 as ahead,
  coalesce(max(pg_stat_get_live_tuples(p.oid)) filter (where p.kind = 'default'), 0)::bigint as strays,
  coalesce(max(pg_relation_size(p.oid)) filter (where p.kind = 'default'), 0)::bigint as stray_bytes,
  coalesce(array_agg(p.name order by p.name) filter (where p.kind = 'detached'), '{}') as detached,
  count(*) filter (where p.kind = 'attached' and p.upper < clock_timestamp() - interval '1 hour' and p.plain and pg_relation_size(p.oid) = 0) as emptied,
  count(*) filter (
    where p.kind = 'attached' and p.upper < clock_timestamp() - make_interval(secs => $2::float8)
      and (not p.plain or pg_relation_size(p.oid) > 0)
  ) as overdue,
  array(
    select distinct coalesce('pid ' || l.pid || coalesce(' (' || nullif(a.application_name, '') || ')', ''), 'a prepared transaction')
    from pg_locks l
    left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'relation' and l.relation = o.oid and l.granted and l.pid is distinct from pg_backend_pid()
      and coalesce(a.application_name, '') !~ '^twinbox/'
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
    order by 1
    limit 5
  ) as holders,
  (
    select count(*) = 4
    from pg_proc f
    where f.pronamespace = o.relnamespace
      and f.proname in ('make_partition', 'detach_partition', 'empty_partition', 'drop_partition')
      and has_function_privilege(f.oid, 'execute')
  ) and coalesce(bool_and(has_table_privilege(p.oid, 'delete')) filter (where p.kind = 'default'), true) as may
from pg_class o
join lateral (
  select
    c.oid,
    c.relname::text as name,
    c.relkind = 'r' and c.relnamespace = o.relnamespace as plain,
    case
      when i.inhrelid is null then 'detached'
      when pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' then 'default'
      else 'attached'
    end as kind,
    case when i.inhrelid is not null
      then (regexp_match(pg_get_expr(c.relpartbound, c.oid), ' TO \(''(.+)''\)$'))[1]::timestamptz
    end as upper
  from pg_class c
  left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = o.oid
  where i.inhrelid is not null
     or c.relkind = 'r' and c.relname ~ '^outbox_([0-9]{8}t[0-9]{6}(_[0-9]+)?|by_hand)$' and c.relnamespace = o.relnamespace
) p on true
where o.oid = $1::oid and o.relkind = 'p'
group by o.oid, o.relnamespace
