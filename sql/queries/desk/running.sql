-- desk: running
-- Whether somebody holds the relay's lease; no row = there is no such relay.
select c.lease_until > clock_timestamp() as running from {schema}.relay_cursor c where c.relay = $1::text
