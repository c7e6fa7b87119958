-- Every command that `take` and what follows it use, to no effect: what Redis refuses is found before a job
-- is touched, and all of it is named. No deployment begins with a colon; should it end half way, `beat` clears
-- the rest away.
local probe = ':probe'
local refused = {}
local broken

local function try(command, ...)
  local answer = redis.pcall(command, ...)
  if type(answer) ~= 'table' or not answer.err then
    return
  end
  local is_right = string.find(answer.err, 'NOPERM', 1, true) or string.find(answer.err, "can't run this command", 1, true)
    or string.find(answer.err, 'nknown', 1, true)  -- Redis command called from script.
  if is_right then
    refused[#refused + 1] = command
  else
    broken = broken or answer
  end
end

try('ZADD', seen, now, probe)
try('HINCRBY', stage, probe, 1)
try('HSET', stage, probe, '0')
try('HGET', stage, probe)
try('HEXISTS', stage, probe)
try('HGETALL', own)
try('HDEL', stage, probe)
try('LREM', queue, 1, probe)
try('LRANGE', queue, 0, 0)
try('LPUSH', dead, probe)
try('LPOP', dead)
try('LTRIM', dead, 0, 999)
try('ZSCORE', seen, probe)
try('ZRANGEBYSCORE', seen, '-inf', '-inf')
try('ZREMRANGEBYRANK', tomb, 0, -100001)
try('ZREM', seen, probe)
if #refused > 0 then
  return redis.error_reply('NOPERM this user may not run ' .. table.concat(refused, ', '))
end
return broken or { 'OK' }
