-- retention: bound
-- Below which transaction rows may go; null = nothing may. And where the last batch of any relay ended.
select b.bound, b.reached from {schema}.retention_bound() b
