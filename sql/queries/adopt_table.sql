-- adopt: table
-- The table to adopt, and our trigger on it if it has one. No row: there is no such table.
select c.oid,
       c.relkind::text                                                        as kind,
       t.tgenabled::text                                                      as enabled,
       p.proname::text                                                        as function,
       obj_description(t.oid, 'pg_trigger')                                   as signature,
       md5(pg_get_functiondef(p.oid) || pg_get_triggerdef(t.oid))             as installed
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_trigger t on t.tgrelid = c.oid and t.tgname = $3::text and not t.tgisinternal
left join pg_proc p on p.oid = t.tgfoid
where n.nspname = $1::text and c.relname = $2::text
