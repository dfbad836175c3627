-- preflight: table
-- What the outbox is. No rights on it are needed to ask. No row: there is no such table.
select c.oid,
       c.relkind::text                                    as kind,
       c.relpersistence::text                             as persistence,
       row_security_active(c.oid)                         as row_security,
       coalesce('autovacuum_enabled=false' = any (c.reloptions), false)
         or current_setting('autovacuum') = 'off'         as vacuum_off,
       exists (select
               from pg_index i
               where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                 and (select array_agg(a.attname::text order by k.at)
                      from unnest(i.indkey::int2[]) with ordinality k (attnum, at)
                      join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                      where k.at <= 2) = '{xid,seq}')     as window_index,
       (select t.tgenabled::text
        from pg_trigger t
        where t.tgrelid = c.oid and t.tgname = 'twinbox_wake') as wake,
       current_setting('max_prepared_transactions')::int  as prepared_max
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1::text and c.relname = $2::text
