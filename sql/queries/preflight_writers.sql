-- preflight: writers
-- Who, beside the owner and our own roles, may do to the outbox what loses rows: delete, truncate, change them, or
-- supply seq, xid or created_at.
select coalesce(r.rolname::text, 'public')                as role,
       array_agg(distinct g.what order by g.what)         as rights
from (
  select x.grantee, lower(x.privilege_type) as what
  from pg_class c
  cross join lateral aclexplode(c.relacl) x
  where c.oid = $1::oid and x.grantee <> c.relowner
    and x.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
  union all
  select x.grantee, lower(x.privilege_type) || ' (' || a.attname || ')'
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  cross join lateral aclexplode(a.attacl) x
  where a.attrelid = $1::oid and x.grantee <> c.relowner
    and a.attname in ('seq', 'xid', 'created_at') and x.privilege_type in ('INSERT', 'UPDATE')
) g
left join pg_roles r on r.oid = g.grantee
where coalesce(r.rolname, '') not in ('twinbox_relay', 'twinbox_relay_wal', 'twinbox_operator')
group by r.rolname
order by coalesce(r.rolname::text, 'public')
