-- Behind the keys of all scripts: list of what a worker of version 1.0 had taken, and its memory of
-- cancels. Both end here: the jobs go back to the head of the queue, in their order.
local taken, cancelled = KEYS[#KEYS - 1], KEYS[#KEYS]
local count = 0
while count < 10000 do
  local payload = redis.call('LRANGE', taken, -1, -1)[1]
  if not payload then
    break
  end
  put_first(payload)
  redis.call('RPOP', taken)
  count = count + 1
end
local ids = redis.call('ZRANGE', cancelled, 0, -1, 'WITHSCORES')
for i = 1, #ids, 2 do
  redis.call('ZADD', tomb, tonumber(ids[i + 1]) * 1000, ids[i])
end
redis.call('DEL', cancelled)
return { count }
