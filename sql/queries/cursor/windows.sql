-- cursor: windows
select w.number, w.upper, w.rest from {schema}.relay_window w where w.relay = $1::text order by w.number
