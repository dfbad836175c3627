-- lease: resign
update {schema}.relay_cursor
set lease_until = '-infinity'
where relay = $1::text and epoch = $2::bigint and holder = $3::text
returning epoch
