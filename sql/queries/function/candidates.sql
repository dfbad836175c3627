-- function: candidates
-- Everything of that name in that schema, with what it takes and gives; what is no plain function too, to say so.
select
  p.prokind::text,
  p.proisstrict,
  p.provolatile::text,
  p.proretset,
  pg_catalog.format_type(p.prorettype, null) as returned,
  coalesce(p.proargnames, '{}') as names,
  coalesce(p.proargmodes::text[], '{}') as modes,
  array(
    select pg_catalog.format_type(t.type, null)
    from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality t (type, place)
    order by t.place
  ) as types,
  pg_catalog.pg_get_function_identity_arguments(p.oid) as shown,
  pg_catalog.has_function_privilege(p.oid, 'execute') as executable,
  pg_catalog.has_schema_privilege(n.oid, 'usage') as reachable,
  current_user::text as role
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1::text and p.proname = $2::text
order by shown
