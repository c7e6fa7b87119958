-- ARGV: lease id, deployment. A job that was not begun in earnest goes back to the head of the queue; the
-- attempt is not counted.
local lease_id, id = ARGV[1], ARGV[2]
local who, service = owner(id)
if who ~= lease_id then
  return { 'LOST' }
end
if redis.call('HINCRBY', att, id, -1) <= 0 then
  redis.call('HDEL', att, id)
end
disown(id, service, redis.call('HGET', pay, id))
return { 'OK' }
