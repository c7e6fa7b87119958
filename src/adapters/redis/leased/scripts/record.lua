-- ARGV: lease id, deployment, how far it has come. For the next attempt, should there be one.
local lease_id, id, checkpoint = ARGV[1], ARGV[2], ARGV[3]
if owner(id) ~= lease_id then
  return { 'LOST' }
end
redis.call('HSET', stage, id, checkpoint)
return { 'OK' }
