-- ARGV: deployment, ms to remember the cancel. What is queued or waits is removed and ends as
-- CANCELLED; what is built will; a status under way becomes CANCELLED; what has ended stays.
local id, memory = ARGV[1], tonumber(ARGV[2])
local sender, since, entry = outgoing(id)
if not sender and redis.call('HEXISTS', fin, id) == 1 then
  return { 'LATE', redis.call('HGET', fin, id) }
end
redis.call('ZADD', tomb, now + memory, id)
-- Strangers may publish any number of ids.
redis.call('ZREMRANGEBYRANK', tomb, 0, -100001)
if sender then
  if status_of(entry) ~= 'CANCELLED' then
    put_out(id, sender, since, BY_USER)
  end
  return { 'REPORTING' }
end
if redis.call('HEXISTS', own, id) == 1 then
  return { 'OWNED' }
end
local waiting = redis.call('HGETALL', wait)
for i = 1, #waiting, 2 do
  if read(waiting[i + 1]) == id then
    conclude(id, NOBODY, BY_USER)
    redis.call('HDEL', wait, waiting[i])
    return { 'REMOVED' }
  end
end
for start = 0, 9000, 1000 do
  local elements = redis.call('LRANGE', queue, start, start + 999)
  for _, payload in ipairs(elements) do
    -- Decoding every element would hold up everybody else.
    if string.find(payload, id, 1, true) and read(payload) == id then
      conclude(id, NOBODY, BY_USER)
      redis.call('LREM', queue, 1, payload)
      return { 'REMOVED' }
    end
  end
  if #elements < 1000 then
    break
  end
end
return { 'NOTED' }
