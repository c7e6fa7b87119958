-- ARGV: lease id, deployment, service, and to write it: the record of its files' times (build/file_times). Or
-- service/layers, and which layers of its images were searched (build/image_check).
-- Gives what is remembered. Both only to who builds the deployment: one build of a service runs at a
-- time, so nobody writes over what came later.
local lease_id, id, service, record = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if owner(id) ~= lease_id then
  return { 'LOST' }
end
if record then
  redis.call('HSET', times, service, record)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', unused, '-inf', now, 'LIMIT', 0, 10)) do
    if old ~= service then
      redis.call('HDEL', times, old)
    end
    redis.call('ZREM', unused, old)
  end
end
redis.call('ZADD', unused, now + KEEP_TIMES, service)
return { 'OK', record and '' or redis.call('HGET', times, service) or '' }
