-- preflight: server
-- Who we are, and what holds back every vacuum. Transactions of others show their age only to pg_read_all_stats.
select u.rolsuper                                         as superuser,
       u.rolbypassrls                                     as bypasses_policies,
       current_user::text                                 as role,
       (select max(extract(epoch from clock_timestamp() - a.xact_start))::float8
        from pg_stat_activity a
        where a.pid <> pg_backend_pid() and a.backend_type = 'client backend')  as oldest_transaction,
       (select max(extract(epoch from clock_timestamp() - p.prepared))::float8 from pg_prepared_xacts p) as oldest_prepared
from pg_roles u
where u.rolname = current_user
