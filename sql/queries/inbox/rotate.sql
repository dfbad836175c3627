-- inbox: rotate
select r.rotated, greatest(extract(epoch from r.again)::float8, 0) as again from {schema}.rotate_inbox() r
