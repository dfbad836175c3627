-- desk: unwindow
-- All windows but each relay's newest.
delete from {schema}.relay_window w
where w.number < (select max(n.number) from {schema}.relay_window n where n.relay = w.relay)
