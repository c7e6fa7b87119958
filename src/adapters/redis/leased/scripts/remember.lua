-- ARGV: deployment. Its end was delivered: it is not built again. `finish` has recorded that already; but
-- a Redis with `user default off` forgets, when it loads its append-only file, everything that was
-- written in groups, as all other scripts write. One write alone stays.
local id = ARGV[1]
redis.call('ZADD', seen, now + KEEP_ENDED + 1, id)
return { 'OK' }
