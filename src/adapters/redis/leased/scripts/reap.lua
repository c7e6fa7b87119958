-- ARGV: a lease whose process is known to have ended, or none: every worker whose lease is over.
-- Returns how many workers were retired and how many jobs went back to the queue.
local retired, jobs = 0, 0
local late = ARGV
if #late == 0 then
  late = redis.call('ZRANGEBYSCORE', workers, '-inf', '(' .. now)
end
for _, lease_id in ipairs(late) do
  if is_worker(lease_id) then
    jobs = jobs + retire(lease_id)
    retired = retired + 1
  end
end
-- A worker of a version that does not know of the entries retires others without them.
local entries = redis.call('HGETALL', about)
for i = 1, #entries, 2 do
  if not is_worker(entries[i]) then
    redis.call('HDEL', about, entries[i])
  end
end
return { retired, jobs }
