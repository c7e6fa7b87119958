-- ARGV: deployments that ended, as somebody outside of Redis knows. `take` drops their elements. Nothing
-- is told about them again.
local count = 0
for _, id in ipairs(ARGV) do
  -- Who has begun it since knows better.
  if redis.call('HEXISTS', own, id) == 0 and redis.call('HEXISTS', att, id) == 0 and
      redis.call('HEXISTS', stage, id) == 0 and redis.call('ZADD', seen, 'NX', now + KEEP_ENDED, id) == 1 then
    redis.call('HSET', fin, id, 'BUILDED')
    bury('built before', id, '')
    count = count + 1
  end
end
return { count }
