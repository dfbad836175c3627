-- letters: fence
select 1 from {schema}.relay_cursor where relay = $1::text and epoch = $2::bigint and holder = $3::text for share
