-- ARGV: who asks, for how long a speaker stays one (ms), deployment; the same keys as `waiting`. Whether the speaker
-- may still tell a deployment that it waits: nobody has taken, cancelled or superseded it.
local me, span, id = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local speaker = KEYS[21]
if now >= tonumber(redis.call('ZSCORE', speaker, me) or 0) then
  return { 'OTHER' }
end
redis.call('ZADD', speaker, now + span, me)
if redis.call('HEXISTS', own, id) == 1 or redis.call('ZSCORE', seen, id) or redis.call('ZSCORE', tomb, id) or
    redis.call('HEXISTS', newer, id) == 1 then
  return { 'GONE' }
end
return { 'WAITS' }
