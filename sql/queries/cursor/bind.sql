-- cursor: bind
-- Notes in which history of which database the relay's windows are valid. No row = fenced.
update {schema}.relay_cursor
set system_id = $4::bigint, database = $5::text, timeline = $6::int, position_epoch = $7::bigint, route = $8::text,
  retention = make_interval(secs => $9::float8)
where relay = $1::text and epoch = $2::bigint and holder = $3::text
returning epoch
