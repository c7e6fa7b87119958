-- KEYS[1] queue, KEYS[2] cancelled ids; ARGV[1] deployment id, ARGV[2] seconds to remember it.
-- Remembers a cancelled deployment and removes its job from the queue; how many were removed.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -100001)
local removed = 0
for _, payload in ipairs(redis.call('LRANGE', KEYS[1], 0, 9999)) do
  -- Cheap test first: most elements are other jobs.
  if string.find(payload, ARGV[1], 1, true) then
    local ok, job = pcall(cjson.decode, payload)
    if ok and type(job) == 'table' and job['deploymentId'] == ARGV[1] then
      removed = removed + redis.call('LREM', KEYS[1], 1, payload)
    end
  end
end
return removed
