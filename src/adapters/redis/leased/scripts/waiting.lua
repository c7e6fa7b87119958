-- ARGV: who asks, for how long a speaker stays one without a word (ms), how many elements, how long builds of the
-- asker took (ms) …; more keys than the others have. One process at a time, the speaker, is told what waits, so that
-- it tells those that wait; the others keep quiet. It is no claim to any job: nothing is taken or moved.
local me, span, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local speaker = KEYS[21]  -- zset: who speaks -> end of that
local took = KEYS[22]     -- list: how long the last builds of the queue took (ms)
local MOST_TOOK = 50
local MOST_BYTES = 262144  -- Of elements: Redis copies each of them, which takes about 2 ms.

for i = 4, #ARGV do
  redis.call('LPUSH', took, ARGV[i])
end
redis.call('LTRIM', took, 0, MOST_TOOK - 1)
redis.call('ZREMRANGEBYSCORE', speaker, '-inf', now)
local holder = redis.call('ZRANGE', speaker, 0, 0)[1]
if holder and holder ~= me then
  return { 'OTHER' }
end
redis.call('ZADD', speaker, now + span, me)

local elements, bytes = {}, 0
while #elements < most and bytes < MOST_BYTES do
  local page = redis.call('LRANGE', queue, #elements, math.min(#elements + 5, most) - 1)
  for _, payload in ipairs(page) do
    bytes = bytes + #payload
    elements[#elements + 1] = #payload <= LARGEST and payload or ''
  end
  if #page == 0 then
    break
  end
end
if #elements == 0 then
  return { 'SPEAKER', time, elements }
end
return {
  'SPEAKER', time, elements, redis.call('HGETALL', own), redis.call('ZRANGE', workers, 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', about), redis.call('HGETALL', pause), redis.call('HGETALL', whose),
  redis.call('ZRANGE', turn, -1000, -1, 'WITHSCORES'), redis.call('LRANGE', took, 0, -1) }
