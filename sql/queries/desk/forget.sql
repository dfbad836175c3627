-- desk: forget
with windows as (delete from {schema}.relay_window w where w.relay = $1::text returning 1),
destinations as (delete from {schema}.relay_destination d where d.relay = $1::text returning 1),
cursors as (delete from {schema}.relay_cursor c where c.relay = $1::text returning 1)
select (select count(*) from cursors), (select count(*) from windows), (select count(*) from destinations)
