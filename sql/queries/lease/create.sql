-- lease: create
insert into {schema}.relay_cursor (relay, source, position_epoch)
values ($1::text, 'cursor', 0)
on conflict (relay) do nothing
