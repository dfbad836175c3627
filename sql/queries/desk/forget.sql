-- desk: forget
-- The function runs with its owner's rights, checks again, and writes the audit row.
select {schema}.forget($1::text, $2::text) as windows
