-- ARGV: deployments that a living worker runs although this Redis does not know it: it came back with an
-- old state. They have not ended, whatever anybody else can see of them.
for _, id in ipairs(ARGV) do
  if not redis.call('ZSCORE', seen, id) and redis.call('HEXISTS', stage, id) == 0 then
    redis.call('HSET', stage, id, '{}')
  end
end
return { 'OK' }
