-- inbox: enter
-- First in every transaction that writes to the inbox: no rotation until it ends. What is kept: the generation that is
-- written, and the one before.
select e.current, e.previous from {schema}.enter_generation() e
