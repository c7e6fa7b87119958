-- ARGV: lease id, lease in ms, 1 to join, what people shall know of the worker (empty: nothing), its two
-- names, ids the caller believes to be its own. Extends the lease; nobody who was retired comes back. Says
-- what has to stop, also because Redis lost or gave away what the caller had (an old state after a restart
-- or failover); and what is the caller's without its knowing, because the answer that gave it was lost; and
-- the time, by which leases end; and whether the worker is asked to take no jobs.
local lease_id, lease, join, entry = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] or ''
if join ~= '1' and not is_worker(lease_id) then
  return { 'LOST', {} }
end
redis.call('ZADD', workers, now + lease, lease_id)
if entry ~= '' then
  redis.call('HSET', about, lease_id, now .. ' ' .. entry)
end
for _, forgotten in ipairs({ redis.call('ZRANGEBYSCORE', seen, '-inf', now, 'LIMIT', 0, 100),
                             redis.call('ZRANGE', seen, 0, -MOST_ENDED - 1) }) do
  for _, id in ipairs(forgotten) do
    redis.call('HDEL', fin, id)
    redis.call('HDEL', stage, id)  -- Left by a version that does not know of it.
    redis.call('ZREM', seen, id)
  end
end
local found, known, strays = marks(lease_id), {}, {}
for i = 7, #ARGV do
  known[ARGV[i]] = true
  if owner(ARGV[i]) ~= lease_id and outgoing(ARGV[i]) ~= lease_id then
    found[#found + 1] = ARGV[i]
    found[#found + 1] = 'gone'
  end
end
for _, id in ipairs(all_of(lease_id)) do
  if not known[id] then
    strays[#strays + 1] = id
  end
end
return { 'OK', found, strays, now, pause_of(ARGV[5], ARGV[6]) }
