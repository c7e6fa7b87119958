-- ARGV: from which element, how many. The elements of the queue, and of what waits beside it, of which
-- this Redis remembers nothing: new ones, or, when it came back with an old state, some that were built
-- long ago. Only reads. Where the next call goes on; 0: there are no more.
local from, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local found = {}

local function add(payload)
  local id = #payload <= LARGEST and read(payload)
  if id and not redis.call('ZSCORE', seen, id) and not redis.call('ZSCORE', tomb, id) and
      redis.call('HEXISTS', own, id) == 0 and redis.call('HEXISTS', att, id) == 0 and
      redis.call('HEXISTS', stage, id) == 0 and redis.call('HEXISTS', out, id) == 0 then
    found[#found + 1] = payload
  end
end

if from == 0 then
  local waiting = redis.call('HGETALL', wait)
  for i = 2, #waiting, 2 do
    add(waiting[i])
  end
end
local elements = redis.call('LRANGE', queue, from, from + count - 1)
for _, payload in ipairs(elements) do
  add(payload)
end
return { #elements == count and from + count or 0, found }
